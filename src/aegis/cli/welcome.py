"""What `aegis up` says once everything runs: where it is, how to become the first admin, and what to try next.

Commands are printed so that they can be pasted as they stand, from where the person stands. It starts nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from aegis.cli.client import DEFAULT_URL
from aegis.cli.installation import Installation
from aegis.cli.sandbox import DEFAULT as SANDBOX_URL


def welcome(home: Installation, *, api: str, sandbox: str | None, nobody_yet: bool, seconds: float) -> str:
    """`sandbox` is the address of the simulated cluster's controls, None on a real cluster."""
    aegis = _command()
    lines = [f"\nAegis is up after {seconds:.1f} s: {api}\n"]
    if nobody_yet:
        lines.append(f"Create the first admin there, with the one-time token {home.first_admin_token()}, or here with:")
        lines.append(f"  {aegis} login --first-admin {home.bootstrap_token}{_unless_default(api, DEFAULT_URL)}\n")
    steps = [
        (f"{aegis} status", "what is going on"),
        (f"{aegis} incidents", "what was found"),
        (f"{aegis} approvals", "what waits for you"),
    ]
    if sandbox is not None:
        fault = f"{aegis} sandbox fault start error_burst{_unless_default(sandbox, SANDBOX_URL)}"
        steps.insert(0, (fault, "break something, then watch the page"))
        steps.append((f"kubectl --kubeconfig {home.sandbox / 'kubeconfig'} get pods -A", "the simulated cluster"))
    lines.append("Try next, in another terminal:")
    lines += [f"  {command}\n      {effect}" for command, effect in steps]
    lines.append(f"\nLogs: {home.logs}    Stop: Ctrl-C\n")
    return "\n".join(lines)


def _unless_default(url: str, default: str) -> str:
    return "" if url == default else f" --url {url}"


def _command() -> str:
    """How this program is called from where the person stands: by its name only where that finds this very one."""
    mine, found = Path(sys.argv[0]), shutil.which("aegis")
    if found is not None and mine.exists() and Path(found).samefile(mine):
        return "aegis"
    return str(mine) if mine.exists() else "aegis"
