"""Runs several parts of Aegis as children of one process: forked from it, watched, restarted, stopped in order.

`aegis up` uses it. The parent stays single-threaded, because it forks again when a child has crashed; it waits for
signals and does nothing else. No child outlives it: the kernel ends them with their parent.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aegis.kit.errors import AegisError, Unavailable

START_SECONDS = 60.0
STOP_SECONDS = 15.0
FIRST_BACKOFF, LAST_BACKOFF = 0.5, 30.0
HEALTHY_SECONDS = 60.0  # a child that lived this long starts again at once
TRIES_AT_START = 3
LOG_BYTES = 5 << 20
TAIL_BYTES = 16 << 10
REFUSED = 78  # EX_CONFIG: the child said in one sentence why it cannot run; trying again would not help
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_LIBC = ctypes.CDLL(None, use_errno=True)


class Interrupted(Exception):
    """A person or the system asked to stop."""


@dataclass(slots=True)
class Part:
    """One child: `run` blocks until SIGTERM; `ready` is asked until it says yes; `after` names parts it needs."""

    name: str
    run: Callable[[], None]
    ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    pid: int = 0
    started: float = 0.0
    crashes: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """`start` in order, `watch` until a signal, `stop` in reverse order.

    `say` tells the person at the terminal; `in_child` runs first in every child (to drop the parent's locks).
    """

    parts: Sequence[Part]
    logs: Path
    say: Callable[[str], None]
    in_child: Callable[[], None] = field(default=lambda: None)
    _parent: int = field(default_factory=os.getpid)

    def block_signals(self) -> None:
        """From here on signals wait until `watch` or `start` looks for them; called before the first child."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else lambda *_: None)

    def start(self) -> None:
        """Start every part and wait until all are ready; raises `Unavailable` naming the one that is not."""
        gc.collect()
        gc.freeze()  # shared pages stay shared: the collector of a child does not touch what the parent made
        waiting, deadline = list(self.parts), time.monotonic() + START_SECONDS
        while waiting:
            unready = {part.name for part in waiting}
            for part in waiting:
                if not (part.pid or part.crashes) and unready.isdisjoint(part.after):
                    self._fork(part)
            self._turn(0.03)
            for part in [part for part in waiting if part.pid and part.ready()]:
                waiting.remove(part)
                self.say(f"  ready  {part.name}")
            for part in waiting:
                if part.crashes >= TRIES_AT_START:
                    raise Unavailable("part_failed", f"{part.name} does not start: {self._last_words(part)}.")
            if time.monotonic() > deadline:
                names = ", ".join(part.name for part in waiting)
                raise Unavailable(
                    "part_slow", f"not ready after {START_SECONDS:g} s: {names}. Logs are in {self.logs}."
                )

    def watch(self, every_second: Callable[[], None] = lambda: None) -> None:
        """Until somebody asks to stop; what crashes is started again, later and later."""
        while True:
            try:
                self._turn(1.0)
            except Interrupted:
                return
            every_second()

    def stop(self) -> None:
        """The last part first, then the others together; a second signal, or too long a wait, kills."""
        alive = [part for part in reversed(self.parts) if part.pid]
        for group in (alive[:1], alive[1:]):
            for part in group:
                os.kill(part.pid, signal.SIGTERM)
            if not self._wait_gone(group):
                self.say("  killing " + ", ".join(part.name for part in alive if part.pid))
                for part in alive:
                    if part.pid:
                        os.kill(part.pid, signal.SIGKILL)
                self._wait_gone(alive)
                return

    def _turn(self, seconds: float) -> None:
        """Wait for a signal; collect the dead; start again what is due."""
        received = signal.sigtimedwait(SIGNALS, seconds)
        if received is not None and received.si_signo != signal.SIGCHLD:
            raise Interrupted
        for part, code in self._collect():
            self._crashed(part, code)
        for part in self.parts:
            if part.restart_at is not None and time.monotonic() >= part.restart_at:
                self._fork(part)

    def _collect(self) -> list[tuple[Part, int]]:
        dead = []
        for part in self.parts:
            if part.pid:
                pid, status = os.waitpid(part.pid, os.WNOHANG)
                if pid:
                    part.pid = 0
                    dead.append((part, os.waitstatus_to_exitcode(status)))
        return dead

    def _crashed(self, part: Part, code: int) -> None:
        lived = time.monotonic() - part.started
        part.crashes = 1 if lived > HEALTHY_SECONDS else part.crashes + 1
        if code == REFUSED:
            part.crashes = max(part.crashes, TRIES_AT_START)
        wait = min(FIRST_BACKOFF * 2 ** (part.crashes - 1), LAST_BACKOFF)
        part.restart_at = time.monotonic() + wait
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self.say(f"  {part.name} {how} ({self._last_words(part)}); it starts again in {wait:g} s")

    def _wait_gone(self, parts: Sequence[Part]) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while any(part.pid for part in parts):
            self._collect()
            received = signal.sigtimedwait(SIGNALS, 0.05)
            impatient = received is not None and received.si_signo != signal.SIGCHLD
            if impatient or time.monotonic() > deadline:
                return False
        return True

    def _fork(self, part: Part) -> None:
        part.restart_at = None
        log = _open_log(self.logs / f"{part.name}.log")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be(part, log)
        os.close(log)
        part.pid, part.started = pid, time.monotonic()

    def _be(self, part: Part, log: int) -> None:
        """The child's whole life; never returns."""
        code = 1
        try:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            _LIBC.prctl(_PR_SET_NAME, f"aegis-{part.name}".encode()[:15], 0, 0, 0)
            if os.getppid() != self._parent:
                os._exit(1)
            os.setsid()  # Ctrl-C in the terminal reaches the parent only, which stops the parts in order
            _redirect(log)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self.in_child()
            part.run()
            code = 0
        except AegisError as error:
            sys.stderr.write(f"{error}\n")
            code = 1 if error.retriable else REFUSED
        except BaseException:  # noqa: BLE001 - the top of a process: whatever it is, its log must say so
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _last_words(self, part: Part) -> str:
        path = self.logs / f"{part.name}.log"
        return f"{last_words(path) or 'it said nothing'}; log: {path}"


def last_words(path: Path) -> str:
    """The last line of a log, shortened, from its end alone; the whole log is for `less`."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = [line.strip() for line in log.read(TAIL_BYTES).decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300].rstrip(".") if lines else ""


def _open_log(path: Path) -> int:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _redirect(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
