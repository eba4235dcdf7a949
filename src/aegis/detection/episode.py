"""Turns a run of unusual samples into one episode with a beginning and an end.

The monitor asks it once a sample; `since` is the time of the first unusual sample, not of the alarm, and `until` that
of the last one so far, not of the end of the wait for health.
A sample that was not observed neither opens nor ends an episode.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PENDING = 3  # samples looked back at; two unusual ones among them open an episode


@dataclass(slots=True)
class Episode:
    """`since` is None outside an episode; `settle` healthy samples in a row end it."""

    settle: int
    since: float | None = None
    until: float | None = None
    healthy: int = 0
    recent: deque[float | None] = field(default_factory=lambda: deque(maxlen=PENDING))

    def step(self, time: float, *, unusual: bool, certain: bool, healthy: bool, shown: bool | None = None) -> bool:
        """Whether this sample belongs to an episode; `certain` opens one without waiting for a second sample.

        `shown`: the sample itself is abnormal, where `unusual` also remembers the ones before it.
        """
        if self.since is not None:
            if unusual if shown is None else shown:
                self.until = time
            self.healthy = self.healthy + 1 if healthy and not unusual else 0
            if self.healthy >= self.settle:
                self.close()
            return self.since is not None
        self.recent.append(time if unusual else None)
        unusual_times = [at for at in self.recent if at is not None]
        if certain or (unusual and len(unusual_times) >= 2):
            self.since = unusual_times[0] if unusual_times else time
            self.until = unusual_times[-1] if unusual_times else time
            self.healthy = 0
        return self.since is not None

    def close(self) -> None:
        self.since = None
        self.until = None
        self.healthy = 0
        self.recent.clear()
