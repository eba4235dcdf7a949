"""Run as a script by the embedded supervisor: drop privileges, die with the parent, become the given program.

`python -I pg_launcher.py UID GID PARENT_PID PROGRAM ARGS…`. It exists because PostgreSQL refuses to run as root and
because a death signal must be set after the change of user and before the program starts. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    uid, gid, parent = (int(text) for text in sys.argv[1:4])
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # SIGINT is PostgreSQL's fast shutdown; the kernel clears this setting on a change of user, hence the order.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone already")
    os.execv(sys.argv[4], sys.argv[4:])


if __name__ == "__main__":
    main()
