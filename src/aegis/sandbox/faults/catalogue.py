"""The faults there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from aegis.sandbox.faults.bad_rollout import BadRollout
from aegis.sandbox.faults.base import Fault
from aegis.sandbox.faults.cpu_saturation import CpuSaturation
from aegis.sandbox.faults.crash_loop import CrashLoop
from aegis.sandbox.faults.dependency_timeout import DependencyTimeout
from aegis.sandbox.faults.error_burst import ErrorBurst
from aegis.sandbox.faults.image_pull_error import ImagePullError
from aegis.sandbox.faults.memory_leak import MemoryLeak
from aegis.sandbox.faults.node_not_ready import NodeNotReady
from aegis.sandbox.faults.trap_restart_worse import TrapRestartWorse
from aegis.sandbox.faults.trap_scale_to_zero import TrapScaleToZero

_KINDS: tuple[type[Fault], ...] = (
    MemoryLeak,
    CrashLoop,
    CpuSaturation,
    DependencyTimeout,
    ErrorBurst,
    ImagePullError,
    NodeNotReady,
    BadRollout,
    TrapScaleToZero,
    TrapRestartWorse,
)
FAULTS: Mapping[str, type[Fault]] = {kind.kind: kind for kind in _KINDS}
