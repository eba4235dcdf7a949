"""A directory as the source of all policies (`AEGIS_POLICY_DIR`): applied at start and whenever its content changes.

A thread of the API process looks at it every two seconds, and takes it when two looks saw the same: a mounted ConfigMap
changes under its readers, one name after the other. The whole directory comes into force as one, everything else goes
out of force, and while it cannot be read, or a test in it fails, what was in force stays so and the reason is shown.

Files are .json, .yaml or .yml, each one policy, or tests beside them; what begins with a dot is passed over.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from aegis.kit.clock import Clock
from aegis.kit.errors import AegisError, Invalid, Unavailable
from aegis.policy import suite
from aegis.policy.documents import MAX_BYTES, Policy, validate
from aegis.policy.suite import Case
from aegis.policy.yaml_text import document_of
from aegis.storage import policy_apply
from aegis.storage.database import Connection, Database
from aegis.storage.policy_apply import Change
from aegis.storage.remediations import SYSTEM

log = structlog.get_logger()
SUFFIXES = frozenset({".json", ".yaml", ".yml"})
LOOK_SECONDS = 2.0
MOST_BYTES_OF_TESTS = 1 << 20
MOST_FILES, MOST_LEVELS = 20_000, 8
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a directory says: its policies, and the tests in and beside them."""

    policies: tuple[Policy, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """When it was applied last, and why what it says now is not in force; None where it is."""

    applied_at: datetime | None = None
    problem: str | None = None


class PolicyDirectory:
    """`take` once, then `start`; `status` and `drift` may be asked from anywhere."""

    def __init__(self, path: Path, database: Database, clock: Clock) -> None:
        self.path = path
        self._database = database
        self._clock = clock
        self._taken: Signature | None = None
        self._seen: Signature | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="policy-directory", daemon=True)
        self.status = Status()

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """The process stops; the thread ends at its next look."""
        self._stopping.set()

    def look(self) -> None:
        """Take the directory if it is another than the last time, and has been so since the last look."""
        try:
            signature = _signature(self.path)
        except Invalid as error:
            self._complain(str(error))
            return
        settled, self._seen = signature == self._seen, signature
        if settled and signature != self._taken:
            self.take()

    def take(self) -> None:
        """Apply the directory as it is; what is wrong with it becomes its status."""
        try:
            before = _signature(self.path)
            content = read(self.path)
            if _signature(self.path) != before:
                return  # it is changing: the next look sees what becomes of it
            self._taken = before
            self._refuse_failing(content)
            with self._database.begin() as conn:
                now = self._clock.now()
                documents = [policy.document() for policy in content.policies]
                comment = f"from the directory {self.path.name}"
                changes = policy_apply.apply_set(conn, documents, by=SYSTEM, comment=comment, now=now, prune=True)
        except Unavailable as error:
            self._taken = None  # tried again at the next look
            self._complain(error.message)
        except AegisError as error:
            self._complain(str(error))
        else:
            self.status = Status(applied_at=now)
            log.info("policies:applied_directory", policies=len(documents), changes=len(changes))

    def drift(self, conn: Connection) -> list[Change]:
        """What applying the directory again would change; nothing while it cannot be read."""
        try:
            content = read(self.path)
        except Invalid:
            return []
        return policy_apply.changes_to(conn, [policy.document() for policy in content.policies], prune=True)

    def _refuse_failing(self, content: Content) -> None:
        failed = next((one for one in suite.run(content.policies, content.cases) if not one.passed), None)
        if failed is not None:
            test = f"the test {failed.case.test.name!r} in {failed.case.source}"
            said = f"{failed.case.test.expect} is expected, it is {failed.got}"
            raise Invalid("policy_test_failed", f"{test} fails: {said} ({failed.reason})", field=failed.case.pointer)

    def _complain(self, problem: str) -> None:
        if problem != self.status.problem:
            log.warning("policies:directory_refused", detail=problem)
        self.status = replace(self.status, problem=problem)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # the top of a thread: it looks again, and says why it does not apply
                log.exception("policies:directory_crashed")
                self._complain(f"{type(error).__name__}: {error}")


def read(path: Path) -> Content:
    """Everything in the directory; raises `Invalid` naming the first bad file."""
    policies: dict[str, Policy] = {}
    cases: list[Case] = []
    for file in _files(path):
        name = str(file.relative_to(path))
        try:
            document = document_of(_bytes(file), max_bytes=MOST_BYTES_OF_TESTS)
            if isinstance(document, dict) and set(document) == {"tests"}:
                cases += suite.beside(document, name)
                continue
            policy = _policy(document, file)
        except Invalid as error:
            raise Invalid(error.code, f"{name}: {error.message}", field=error.field, hint=error.hint) from None
        if policies.setdefault(policy.id, policy) is not policy:
            raise Invalid("policy_id_repeated", f"{name}: two files have the policy {policy.id}", field="/id")
    if not policies:
        raise Invalid(
            "policy_directory_empty", f"{path.name} holds no policy: that would take all of them out of force"
        )
    return Content(tuple(policies.values()), (*suite.inside(policies.values()), *cases))


def _policy(document: Any, file: Path) -> Policy:
    if file.stat().st_size > MAX_BYTES:
        raise Invalid("policy_too_large", f"a policy has at most {MAX_BYTES} bytes")
    return validate(document)


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES_OF_TESTS + 1)
    except OSError as error:
        raise _unreadable(error) from None


def _files(path: Path) -> list[Path]:
    """Whatever may hold a policy, by name, through the links that a mounted ConfigMap is made of."""
    found: list[Path] = []
    try:
        waiting = [(path, 1)]
        while waiting:
            folder, depth = waiting.pop()
            for entry in folder.iterdir():
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting += [(entry, depth + 1)] if depth < MOST_LEVELS else []  # a link may lead back up
                elif entry.suffix in SUFFIXES:
                    found.append(entry)
            if len(found) > MOST_FILES:
                raise Invalid("policy_directory_too_large", f"at most {MOST_FILES} files are read")
    except OSError as error:
        raise _unreadable(error) from None
    return sorted(found)


def _signature(path: Path) -> Signature:
    """What changes whenever a file's content does; raises `Invalid`."""
    try:
        known = [(str(file), file.stat()) for file in _files(path)]
    except OSError as error:
        raise _unreadable(error) from None
    return tuple((name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in known)


def _unreadable(error: OSError) -> Invalid:
    return Invalid("policy_directory_unreadable", f"the directory of policies cannot be read ({error.strerror})")
