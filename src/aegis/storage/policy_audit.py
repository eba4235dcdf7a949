"""Every evaluation, with its facts and its answer: written in the caller's transaction, read back and replayed.

The controller's gate records here what it asks; the API's workers do so through `policy_recorder`. PostgreSQL lets
nobody change or delete a row, and each batch has one entry in the audit log with the RFC 9162 root over its rows, so
that what a database owner does anyway is found by `check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from sqlalchemy import ColumnElement, Connection, Row, Text, case, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from aegis.audit.entry import Entry, parse
from aegis.audit.tree import leaf_hash, root_of
from aegis.kit.errors import Invalid, Unavailable
from aegis.policy.cache import Answer, answer
from aegis.policy.decision import Decision
from aegis.policy.request import Request, written
from aegis.storage import audit
from aegis.storage.policy_schema import policy_audit_logs

KIND = "policy:evaluated"
# What a leaf is taken over, in this order, in the text form of COPY.
LEAF = (
    "at",
    "source",
    "request_id",
    "principal",
    "roles",
    "action",
    "resource",
    "facts",
    "effect",
    "code",
    "policies",
    "decision",
    "bundle",
    "epoch",
    "latency_us",
    "cached",
    "shadow",
)
COPY = f"COPY policy_audit_logs (id, batch, {', '.join(LEAF)}) FROM STDIN"
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
MAX_LATENCY_US = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One question and its answer, as the one who asked saw it."""

    source: str
    request: Request
    answer: Answer
    epoch: int
    latency_us: int
    request_id: str | None = None
    cached: bool = False

    def row(self) -> bytes:
        """The row as text for COPY, without its id; raises `Invalid` for text that PostgreSQL cannot hold."""
        form = RowForm(self.request, self.answer, self.epoch)
        occasion = Occasion(self.source, self.request.now, self.request_id)
        return form.row(occasion, latency_us=self.latency_us, cached=self.cached)


class Occasion:
    """What the rows of one call have in common: who asked policy, when, and for which request."""

    __slots__ = ("head", "now")

    def __init__(self, source: str, now: datetime, request_id: str | None) -> None:
        self.head = _line((_moment(now), source, request_id)) + b"\t"
        self.now = written(now).encode()


class RowForm:
    """The rows of one question and its answer: when they are asked again, only the occasion and its speed differ."""

    __slots__ = ("_after_now", "_again", "_before_now", "_end")

    def __init__(self, request: Request, given: Answer, epoch: int) -> None:
        """Raises `Invalid` for text that PostgreSQL cannot hold."""
        try:
            facts = request.facts()
            asked = msgspec.json.encode({name: facts[name] for name in ("principal", "action", "resource")}).decode()
            known = msgspec.json.encode({name: facts[name] for name in ("metadata", "context", "change")}).decode()
            roles, policies = _array(request.roles), _array(given.policies)
            before = (request.principal_id, roles, request.action, request.resource, f'{asked[:-1]},"now":"')
            after = (f'",{known[1:]}', given.effect, given.code, policies, given.body.decode(), given.bundle)
            self._before_now = _line(before)
            self._after_now = b"%b\t%d\t" % (_line(after), epoch)
            self._end = b"t" if given.shadow else b"f"
            self._again = b"%b0\tt\t%b" % (self._after_now, self._end)
        except UnicodeEncodeError:
            raise Invalid("policy_audit_text", "a fact of the request is no text that can be recorded") from None

    def again(self, occasion: Occasion) -> bytes:
        """The row of having been asked again, when the answer was still known."""
        return occasion.head + self._before_now + occasion.now + self._again

    def row(self, occasion: Occasion, *, latency_us: int, cached: bool) -> bytes:
        """The row of having been asked on this occasion."""
        return b"%b%b%b%b%d\t%b\t%b" % (
            occasion.head,
            self._before_now,
            occasion.now,
            self._after_now,
            min(latency_us, MAX_LATENCY_US),
            b"t" if cached else b"f",
            self._end,
        )


def evaluation(
    source: str, request: Request, decision: Decision, *, epoch: int, latency_us: int, request_id: str | None = None
) -> Evaluation:
    """A decision just made for the request."""
    return Evaluation(source, request, answer(decision, now=request.now), epoch, latency_us, request_id)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _array(names: Sequence[str]) -> str:
    joined = '","'.join(names)
    if not names:
        return "{}"
    if "\\" not in joined and joined.count('"') == 2 * (len(names) - 1):
        return f'{{"{joined}"}}'
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"


def _line(fields: Sequence[str | None]) -> bytes:
    """One line of COPY's text format. Few texts hold what must be escaped: looked for in all of them at once."""
    line = "\t".join("\\N" if one is None else one for one in fields)
    plain = line.count("\t") == len(fields) - 1 and "\n" not in line and "\r" not in line
    if not plain or line.count("\\") != fields.count(None):
        line = "\t".join("\\N" if one is None else _SPECIAL.sub(_escape, one) for one in fields)
    if "\0" in line:
        raise Invalid("policy_audit_text", "a fact of the request holds a NUL character, which cannot be recorded")
    return line.encode()


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES[found[0]]


def record(conn: Connection, evaluations: Sequence[Evaluation]) -> list[int]:
    """Write them in the caller's transaction, with one audit entry; returns their ids in the same order."""
    if not evaluations:
        return []
    return write(conn, [one.row() for one in evaluations], at=max(one.request.now for one in evaluations))


def write(conn: Connection, rows: Sequence[bytes], *, at: datetime) -> list[int]:
    """Rows as `Evaluation.row` made them; raises `Unavailable` when PostgreSQL does not take them, and `Invalid` when
    it never will because of what is in them.
    """
    ids = _next_ids(conn, len(rows))
    root = root_of(leaf_hash(row) for row in rows)
    data = {"count": len(rows), "first": ids[0], "last": ids[-1], "root": root.hex()}
    batch = audit.append(conn, Entry(kind=KIND, at=at, actor="aegis", subject="policy", data=data))
    lines = b"".join(b"%d\t%d\t%b\n" % (number, batch, row) for number, row in zip(ids, rows, strict=True))
    cursor: Any = conn.connection.cursor()  # COPY is the driver's own, and so are its errors
    try:
        with cursor, cursor.copy(COPY) as copy:
            copy.write(lines)
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
        raise Invalid("policy_audit_row", f"PostgreSQL cannot hold the evaluation: {_said(error)}") from error
    except psycopg.OperationalError as error:
        raise Unavailable(
            "database_unavailable", f"PostgreSQL did not record the evaluation: {_said(error)}"
        ) from error
    return ids


def _said(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]


def _next_ids(conn: Connection, count: int) -> list[int]:
    """Taken from the sequence beforehand, because the entry in the audit log names them. Ascending, not gapless."""
    statement = text("SELECT nextval('policy_audit_logs_id_seq') FROM generate_series(1, :count)")
    return list(conn.execute(statement, {"count": count}).scalars())


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page is narrowed to; None means everything. `since` is inclusive, `until` is not."""

    principal: str | None = None
    action: str | None = None
    resource_prefix: str | None = None
    effect: str | None = None
    code: str | None = None
    policy: str | None = None
    bundle: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        columns = policy_audit_logs.c
        equal = ("principal", "action", "effect", "code", "bundle", "source")
        wanted = [columns[name] == getattr(self, name) for name in equal if getattr(self, name) is not None]
        if self.resource_prefix is not None:
            wanted.append(columns.resource.startswith(self.resource_prefix, autoescape=True))
        if self.policy is not None:
            wanted.append(columns.policies.op("@>", is_comparison=True)(cast([self.policy], ARRAY(Text))))
        if self.since is not None:
            wanted.append(columns.at >= self.since)
        if self.until is not None:
            wanted.append(columns.at < self.until)
        return wanted


@dataclass(frozen=True, slots=True)
class Logged:
    """A recorded evaluation; `facts` and `decision` are the JSON text that was recorded."""

    id: int
    batch: int
    at: datetime
    source: str
    request_id: str | None
    principal: str
    roles: list[str]
    action: str
    resource: str
    facts: str
    effect: str
    code: str
    policies: list[str]
    decision: str
    bundle: str
    epoch: int
    latency_us: int
    cached: bool
    shadow: bool

    def row(self) -> bytes:
        """The bytes that its batch's root is taken over."""
        fields = (
            _moment(self.at),
            self.source,
            self.request_id,
            self.principal,
            _array(self.roles),
            self.action,
            self.resource,
            self.facts,
            self.effect,
            self.code,
            _array(self.policies),
            self.decision,
            self.bundle,
            str(self.epoch),
            str(self.latency_us),
            "t" if self.cached else "f",
            "t" if self.shadow else "f",
        )
        return _line(fields)


_JSON = ("facts", "decision")
_COLUMNS = [
    cast(column, Text).label(column.name) if column.name in _JSON else column for column in policy_audit_logs.columns
]


def page(conn: Connection, filters: Filters, *, limit: int, before: int | None = None) -> list[Logged]:
    """Newest first, below the id `before`: what is recorded meanwhile moves nothing on later pages."""
    columns = policy_audit_logs.c
    statement = select(*_COLUMNS).where(*filters.clauses()).order_by(columns.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(columns.id < before)
    return [_logged(row) for row in conn.execute(statement)]


def get(conn: Connection, number: int) -> Logged | None:
    row = conn.execute(select(*_COLUMNS).where(policy_audit_logs.c.id == number)).one_or_none()
    return None if row is None else _logged(row)


def count(conn: Connection, filters: Filters, *, up_to: int | None = None) -> int:
    """How many there are, with ids of at most `up_to`."""
    statement = select(func.count()).select_from(policy_audit_logs).where(*filters.clauses())
    if up_to is not None:
        statement = statement.where(policy_audit_logs.c.id <= up_to)
    found: int = conn.execute(statement).scalar_one()
    return found


def newest_id(conn: Connection) -> int:
    """The highest id so far; 0 without any."""
    found: int = conn.execute(select(func.coalesce(func.max(policy_audit_logs.c.id), 0))).scalar_one()
    return found


def nth_newest_id(conn: Connection, number: int) -> int:
    """Where the newest `number` evaluations begin; 1 where there are fewer."""
    columns = policy_audit_logs.c
    statement = select(columns.id).order_by(columns.id.desc()).offset(number - 1).limit(1)
    return conn.execute(statement).scalar_one_or_none() or 1


_OBLIGED = (func.strpos(cast(policy_audit_logs.c.decision, Text), '"obligations":[{') > 0) | (
    func.strpos(cast(policy_audit_logs.c.decision, Text), '"limits":[{') > 0
)


def after(conn: Connection, filters: Filters, *, last: int, up_to: int, limit: int) -> list[Row[Any]]:
    """The next `limit` evaluations behind the id `last`, oldest first, with only what replaying needs.

    Rows of (id, at, facts as text, effect, code, policies, bundle, decision); the decision's text is there where it has
    obligations or limits. In pieces, so that a long replay holds no transaction.
    """
    columns = policy_audit_logs.c
    decision = case((_OBLIGED, cast(columns.decision, Text)), else_=None).label("decision")
    wanted = (columns.id, columns.at, cast(columns.facts, Text).label("facts"), columns.effect, columns.code)
    statement = select(*wanted, columns.policies, columns.bundle, decision)
    statement = statement.where(columns.id > last, columns.id <= up_to, *filters.clauses())
    return list(conn.execute(statement.order_by(columns.id).limit(limit)))


def _logged(row: Row[Any]) -> Logged:
    return Logged(**row._mapping)


@dataclass(frozen=True, slots=True)
class BadBatch:
    """The first batch whose rows are not what was recorded; `entry` is its row in the audit log, 0 for none."""

    entry: int
    sentence: str


def check(conn: Connection) -> BadBatch | None:
    """Recompute the root of every batch from its rows; the first bad batch, or None."""
    columns, told = audit.audit_entries.c, 0
    named = func.convert_from(columns.entry, "UTF8").contains(f'"kind":"{KIND}"')
    statement = select(columns.id, columns.entry).where(named).order_by(columns.id)
    with conn.execute(statement.execution_options(yield_per=1000)) as entries:
        for batch, encoded in entries:
            entry = parse(encoded)
            if entry.kind != KIND:
                continue
            bad = _check_batch(conn, batch, entry.data)
            if bad is not None:
                return BadBatch(batch, bad)
            told += entry.data["count"]
    stray = count(conn, Filters()) - told
    return BadBatch(0, f"{stray} evaluations were added that no entry of the audit log tells of") if stray else None


def _check_batch(conn: Connection, batch: int, said: Any) -> str | None:
    rows = list(_rows_of(conn, batch, said["first"], said["last"]))
    if len(rows) != said["count"]:
        return f"{said['count']} evaluations were recorded together, {len(rows)} are left"
    if root_of(leaf_hash(row) for row in rows).hex() != said["root"]:
        return f"one of the evaluations {said['first']} to {said['last']} is not what was recorded"
    return None


def _rows_of(conn: Connection, batch: int, first: int, last: int) -> Iterator[bytes]:
    columns = policy_audit_logs.c
    statement = select(*_COLUMNS).where(columns.id.between(first, last), columns.batch == batch).order_by(columns.id)
    for row in conn.execute(statement):
        yield _logged(row).row()
