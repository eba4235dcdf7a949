"""Policies as files: every document below a directory, and the files of tests beside them.

All local commands read with it. Each .json, .yaml and .yml file is one policy, or has `tests` as its only field; what
begins with a dot is passed over, as a mounted ConfigMap keeps its own things there. Every bad file is named at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis.cli.policy.complaints import Complaint, Unreadable, complaint
from aegis.cli.policy.positions import line_of
from aegis.kit.errors import Invalid
from aegis.policy import suite
from aegis.policy.documents import Policy, sized, validate
from aegis.policy.suite import Case
from aegis.policy.yaml_text import document_of

SUFFIXES = (".json", ".yaml", ".yml")
MAX_BYTES = 1 << 20  # of a file of tests; a policy has its own, smaller bound


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files hold; `files` says where each policy was written, `cases` are the tests beside them."""

    policies: tuple[Policy, ...]
    cases: tuple[Case, ...]
    files: Mapping[str, Path]

    def path_of(self, case: Case) -> Path:
        inside = case.policy is not None and case.source == case.policy
        return self.files[case.source] if inside else Path(case.source)

    def place(self, policy_id: str, pointer: str) -> str:
        """`policies/prod.yaml:12`, where the pointer into that policy's document leads."""
        return placed(self.files[policy_id], pointer)


@dataclass(slots=True)
class _Reading:
    policies: list[Policy] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def take(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            self.complaints.append(Complaint(path, f"it cannot be read ({error.strerror})", "Check its permissions."))
            return
        try:
            self._sort_in(path, raw)
        except Invalid as error:
            self.complaints.append(complaint(path, raw.decode("utf-8", "replace"), error))

    def _sort_in(self, path: Path, raw: bytes) -> None:
        document = document_of(raw, max_bytes=MAX_BYTES)
        if is_tests(document):
            self.cases += suite.beside(document, str(path))
            return
        sized(raw)
        policy = validate(document)
        known = self.files.setdefault(policy.id, path)
        if known is not path:
            step = "Give one of them another id, or leave it out."
            message = f"the id {policy.id} is taken by {known} already"
            line = line_of(raw.decode("utf-8", "replace"), "/id")
            self.complaints.append(Complaint(path, message, step, line, "/id"))
            return
        self.policies.append(policy)


def is_tests(document: Any) -> bool:
    return isinstance(document, dict) and set(document) == {"tests"}


def read(paths: Sequence[Path]) -> Sources:
    """Everything in the files and directories; raises `Unreadable` with each complaint, also for no policy at all."""
    reading = _Reading()
    found = [file for path in paths for file in _files(path, reading.complaints)]
    for file in dict.fromkeys(found):
        reading.take(file)
    if not reading.policies and not reading.complaints:
        step = f"Policies are files that end in {', '.join(SUFFIXES)}."
        reading.complaints.append(Complaint(paths[0], "there is no policy in it", step))
    if reading.complaints:
        raise Unreadable(reading.complaints)
    return Sources(tuple(reading.policies), tuple(reading.cases), reading.files)


def placed(path: Path, pointer: str) -> str:
    """The file with the line of the pointer."""
    line = line_of(path.read_text(encoding="utf-8", errors="replace"), pointer)
    return str(path) if line is None else f"{path}:{line}"


def _files(path: Path, complaints: list[Complaint]) -> Iterator[Path]:
    if path.is_dir():
        below = (one for one in sorted(path.rglob("*")) if one.suffix.lower() in SUFFIXES and one.is_file())
        yield from (one for one in below if not any(part.startswith(".") for part in one.relative_to(path).parts))
    elif path.exists():
        yield path
    else:
        complaints.append(Complaint(path, "there is no such file or directory", "Check the path."))
