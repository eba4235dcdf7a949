"""What policy says, asked over HTTP: who may ask, deciding, the record, and only then the answer.

A short way in front of the framework (`quick.QuickRoute`), with everything inside that its routes have. The forms of
asking (one question, a batch, AuthZEN) hand their questions in here and write the answers out.

1. The caller's permission and every question are on record before an answer leaves; what cannot be recorded is refused.
2. Whom a question is about comes from the body, who asks never does. The time is the server's.
3. All questions of one call are decided under one set of policies. Where a newer one was ready by the time the record
   was written, they are decided again under that.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest

from aegis.api.access import SOURCE, Doorkeeper, below_version
from aegis.api.callers import Callers
from aegis.api.in_force import InForce
from aegis.api.metrics import Metrics
from aegis.api.questions import Asked
from aegis.identity.credentials import digest
from aegis.identity.permissions import Permission, Principal
from aegis.kit.clock import Clock
from aegis.kit.errors import Unavailable
from aegis.policy.api_access import asking, fulfilled
from aegis.policy.cache import Answer, answer
from aegis.storage.decision_cache import DecisionCache
from aegis.storage.policy_audit import Occasion
from aegis.storage.policy_recorder import Recorder
from aegis.storage.policy_set import Serving
from aegis.storage.sessions import Credential

PERMISSION: Permission = "policies:evaluate"
QUESTION = "question"  # the source of what was asked about somebody, who need not know of it; `SOURCE` is who called
TRIES = 2
BREATH = 64  # questions of a batch after which others get a turn
MOST_ADMISSIONS = 4096


class Given(NamedTuple):
    """An answer, how it came about, and under which number it is on record."""

    answer: Answer
    cached: bool
    record: int

    def body(self) -> bytes:
        """`{"id": …, "cached": …}` and then the decision's own fields, as bytes."""
        return b'{"id":%d,"cached":%b,%b' % (self.record, b"true" if self.cached else b"false", self.answer.body[1:])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Questions in order; deciding ends after the first answer that is `enough`.

    `rule` is what the form of asking makes of each answer before it is recorded.
    """

    questions: Sequence[Asked]
    rule: Callable[[Answer], Answer] | None = None
    enough: Callable[[Answer], bool] | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Who was let in, and the question that said so; None when the doorkeeper asked it, who has recorded it."""

    who: Principal
    asked: Asked | None


@dataclass(slots=True)
class Desk:
    """Everything that answering takes, shared by all forms of asking."""

    clock: Clock
    doorkeeper: Doorkeeper
    recorder: Recorder
    callers: Callers
    in_force: InForce
    cache: DecisionCache
    metrics: Metrics
    _looking: dict[Credential, asyncio.Future[Principal | None]] = field(default_factory=dict)
    _admissions: dict[tuple[Principal, str], Asked] = field(default_factory=dict)

    async def admit(self, scope: dict[str, Any]) -> Admission:
        """Let the caller in; raises like `Doorkeeper.admit`, which is asked about everybody else."""
        who, serving = await self._caller(scope), self.in_force.serving
        if who is not None and serving is not None:
            asked = self._admission(who, below_version(scope["path"]))
            if self._allowed(asked, serving, self.clock.now()).effect == "allow":
                return Admission(who, asked)
        return Admission(await run_in_threadpool(self.doorkeeper.admit, HttpRequest(scope), PERMISSION), None)

    async def _caller(self, scope: dict[str, Any]) -> Principal | None:
        """Whose credential it is; looked up without policy, so that nobody waits while that is compiled.

        Many that show the same one at the same time share one look-up.
        """
        credential = self._credential(scope)
        if credential is None:
            return None
        who = self.callers.known(credential)
        if who is not None:
            return who
        looking = self._looking.get(credential)
        if looking is None:
            looking = asyncio.ensure_future(self._look_up(credential, scope))
            self._looking[credential] = looking
        return await asyncio.shield(looking)

    async def _look_up(self, credential: Credential, scope: dict[str, Any]) -> Principal | None:
        try:
            turn = self.callers.turn
            who = await run_in_threadpool(self.doorkeeper.known, HttpRequest(scope))
            if who is not None:
                self.callers.remember(credential, who, turn)
            return who
        finally:
            del self._looking[credential]

    async def answer(self, wanted: Wanted, admission: Admission, request_id: str) -> list[Given]:
        """Decide under one set, write everything down together, and only then hand the answers out."""
        for attempt in range(1, TRIES + 1):
            serving = self.in_force.serving or await self._look()
            now = self.clock.now()
            rows = self._admission_rows(admission, serving, now, request_id)
            before = len(rows)
            found = await self._decide(wanted, serving, now, Occasion(QUESTION, now, request_id), rows)
            if not rows:
                return []
            committed = await self.recorder.record_rows(rows, now)
            if committed.stamp != serving.stamp:
                self.callers.forget()
                if attempt < TRIES and self.in_force.serving is not serving:
                    continue
            break
        self._count(found)
        numbers = committed.ids[before:]
        return [Given(one, cached, number) for (one, cached), number in zip(found, numbers, strict=True)]

    def _count(self, found: Sequence[tuple[Answer, bool]]) -> None:
        if len(found) == 1:
            self.metrics.decided(found[0][0].effect, 1, cached=found[0][1])
            return
        for known in (True, False):
            for effect, number in Counter([one.effect for one, cached in found if cached is known]).items():
                self.metrics.decided(effect, number, cached=known)

    async def turn_away(self, admission: Admission, request_id: str) -> None:
        """Record that somebody was let in whose questions cannot be read."""
        serving = self.in_force.serving or await self._look()
        now = self.clock.now()
        rows = self._admission_rows(admission, serving, now, request_id)
        if rows:
            await self.recorder.record_rows(rows, now)

    async def _decide(
        self, wanted: Wanted, serving: Serving, now: datetime, occasion: Occasion, rows: list[bytes]
    ) -> list[tuple[Answer, bool]]:
        """The answers, up to the first that is enough, and whether each was kept; their rows are added."""
        found: list[tuple[Answer, bool]] = []
        stamp, epoch, enough = serving.stamp, serving.epoch, wanted.enough
        for number, asked in enumerate(wanted.questions):
            if number and number % BREATH == 0:
                await asyncio.sleep(0)
            one, cached = asked.kept(stamp, now), True
            if one is not None and asked.form is not None:
                rows.append(asked.form.again(occasion))
            else:
                began = time.perf_counter()
                one, cached = await self._afresh(asked, serving, now, wanted.rule)
                spent = round((time.perf_counter() - began) * 1_000_000)
                rows.append(asked.row(one, epoch, occasion, latency_us=spent, cached=cached))
            found.append((one, cached))
            if enough is not None and enough(one):
                break
        return found

    async def _afresh(
        self, asked: Asked, serving: Serving, now: datetime, rule: Callable[[Answer], Answer] | None
    ) -> tuple[Answer, bool]:
        """From the bundle; where a Redis shares answers, it is asked first, beside the event loop."""
        request = asked.at(now)
        if self.cache.shared is None:
            found, cached = answer(serving.bundle.evaluate(request), now=now), False
        else:
            found, cached = await run_in_threadpool(self.cache.evaluate, serving, request)
        if rule is not None:
            found = rule(found)
        asked.keep(found, serving.stamp)
        return found, cached

    def _admission(self, who: Principal, path: str) -> Asked:
        key = (who, path)
        asked = self._admissions.get(key)
        if asked is None:
            if len(self._admissions) >= MOST_ADMISSIONS:
                self._admissions.clear()
            asked = Asked(asking(who.name, who.roles, PERMISSION, path, self.clock.now()))
            self._admissions[key] = asked
        return asked

    def _allowed(self, asked: Asked, serving: Serving, now: datetime) -> Answer:
        """Whether the caller may ask: evaluated anew wherever its last answer no longer holds."""
        found = asked.kept(serving.stamp, now)
        if found is None:
            found = answer(fulfilled(serving.bundle.evaluate(asked.at(now))), now=now)
            asked.keep(found, serving.stamp)
        return found

    def _admission_rows(self, admission: Admission, serving: Serving, now: datetime, request_id: str) -> list[bytes]:
        """What the caller was let in by, as it stands now; raises `Unavailable` where it was taken away meanwhile."""
        asked = admission.asked
        if asked is None:
            return []
        cached = asked.kept(serving.stamp, now) is not None
        began = time.perf_counter()
        found = self._allowed(asked, serving, now)
        if found.effect != "allow":
            raise Unavailable("policies_moved", "the policies changed while this was asked.", hint="Ask again.")
        spent = round((time.perf_counter() - began) * 1_000_000)
        occasion = Occasion(SOURCE, now, request_id)
        return [asked.row(found, serving.epoch, occasion, latency_us=0 if cached else spent, cached=cached)]

    async def _look(self) -> Serving:
        found = await run_in_threadpool(self.in_force.look)
        if found is None:
            raise Unavailable("policies_unreadable", f"the policies cannot be read: {self.in_force.broken}")
        return found

    def _credential(self, scope: dict[str, Any]) -> Credential | None:
        """As the doorkeeper reads it; the plain case, a bearer token and no browser, without its detours."""
        token = origin = None
        for name, value in scope["headers"]:
            if name == b"authorization" and token is None:
                token = value
            elif name == b"origin":
                origin = value
        if token is not None and origin is None and token[:7].lower() == b"bearer ":
            text = token[7:].decode("latin-1").strip()
            if text:
                return Credential("token", digest(text))
        request = HttpRequest(scope)
        self.doorkeeper.check_origin(request)
        return self.doorkeeper.credential(request)
