"""Training jobs: one at a time, each in a child process, with progress that the API shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from aegis.detection.frame import Frame
from aegis.engine.training import train, write_frames
from aegis.kit.errors import AegisError, Conflict, NotFound
from aegis.kit.ids import Ids

log = structlog.get_logger()
KEEP = 50
SAID = 4000  # characters of a dead child's last words that are logged


@dataclass(slots=True)
class Job:
    """`state` is running, done or failed; `progress` 0..1."""

    id: str
    total: int = 0
    done: int = 0
    state: str = "running"
    message: str = "collecting samples"
    failed: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        progress = self.done / self.total if self.total else 0.0
        return {
            "id": self.id,
            "state": self.state,
            "progress": 1.0 if self.state == "done" else round(progress, 3),
            "message": self.message,
            "failed": self.failed[:20],
        }


class Jobs:
    """`apart=False` trains on the caller's thread, for tests and the tour."""

    def __init__(self, directory: Path, ids: Ids, alerts_per_day: float, *, apart: bool = True) -> None:
        self._directory = directory
        self._ids = ids
        self._alerts_per_day = alerts_per_day
        self._apart = apart
        self._jobs: dict[str, Job] = {}
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None
        self.problem: str | None = None  # why the last job that ended failed; None where it did not

    @property
    def running(self) -> bool:
        return any(job.state == "running" for job in list(self._jobs.values()))  # another thread may add one meanwhile

    def get(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise NotFound("unknown_job", f"there is no training job {job_id!r}")
        return self._jobs[job_id]

    def start(self, collect: Callable[[], Mapping[str, Frame]], ready: Callable[[str], None]) -> Job:
        """Begin; `collect` gives the frames, `ready` is called with each entity that got a model."""
        with self._starting:
            if self.running:
                raise Conflict("training_running", "a training job is already running")
            job = Job(self._ids.new("job"))
            self._jobs[job.id] = job
            while len(self._jobs) > KEEP:
                del self._jobs[next(iter(self._jobs))]
        if not self._apart:
            self._run(job, collect, ready)
            return job
        self._thread = threading.Thread(target=self._run, args=(job, collect, ready), name="training", daemon=True)
        self._thread.start()
        return job

    def stop(self) -> None:
        """End a running child; its job counts as failed."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self, job: Job, collect: Callable[[], Mapping[str, Frame]], ready: Callable[[str], None]) -> None:
        try:
            frames = collect()
            job.total = len(frames)
            job.message = f"fitting {job.total} models"
            for result in self._results(frames):
                job.done += 1
                if result["ok"]:
                    ready(str(result["entity"]))
                else:
                    job.failed.append(f"{result['entity']}: {result['message']}")
            job.message = f"{job.done - len(job.failed)} of {job.total} models are fitted"
            self.problem, job.state = None, "done"
        except AegisError as error:
            job.message = self.problem = error.message
            job.state = "failed"
        except Exception as error:  # the top of the job's thread: it must end in a state
            log.exception("training:crashed", job=job.id)
            job.message = self.problem = f"{type(error).__name__}: {error}"
            job.state = "failed"
        log.info("training:ended", job=job.id, state=job.state, detail=job.message)

    def _results(self, frames: Mapping[str, Frame]) -> Any:
        self._directory.mkdir(parents=True, exist_ok=True)
        if not self._apart:
            yield from train(frames, self._directory, self._alerts_per_day)
            return
        with tempfile.TemporaryDirectory(prefix="aegis-training-") as work:
            path, said = Path(work) / "frames.npz", Path(work) / "stderr"
            write_frames(path, frames, self._alerts_per_day)
            # -P: whoever starts us may stand in a directory with an html.py of their own, and -m would import it.
            command = [sys.executable, "-P", "-m", "aegis.engine.training", str(path), str(self._directory)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            with (
                said.open("w") as errors,
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as child,
            ):
                self._child = child
                assert child.stdout is not None
                for line in child.stdout:
                    yield json.loads(line)
            if child.returncode != 0:
                raise _died(child.returncode, said.read_text(errors="replace"))


def _died(code: int, said: str) -> AegisError:
    """With the last line of what it said, which in Python names the error; all of it stands in the log."""
    log.error("training:died", code=code, said=said[-SAID:])
    last = said.strip().rpartition("\n")[2][:300]
    message = f"the training process ended with {code}{f': {last}' if last else ''}"
    return AegisError("training_died", message)
