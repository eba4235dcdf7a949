"""What an API is made of; built by `process.run` and by tests, handed to every module of routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aegis.api.analyses import Analyses
from aegis.api.hashing import Hashing
from aegis.api.peer import Networks
from aegis.identity.passwords import Passwords
from aegis.kit.clock import Clock
from aegis.kit.ids import Ids
from aegis.storage.database import Database
from aegis.storage.decision_cache import SharedAnswers
from aegis.storage.policy_set import PolicySet

V1 = "/api/v1"
STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class Deps:
    """`public_url` is empty where browsers reach this process directly; `static` is where the UI build lies.

    `proxies` are believed when they say for which address they ask. Policies in force come from `policy_directory`
    where one is named, and then from nowhere else. `answers` are shared between processes where there is a Redis.
    """

    database: Database
    clock: Clock
    ids: Ids
    engine_url: str
    audit_vkey: str
    bootstrap_token_file: Path | None = None
    public_url: str = ""
    proxies: Networks = ()
    sandbox: bool = False
    static: Path = STATIC
    passwords: Passwords = field(default_factory=Passwords)
    hashing: Hashing = field(default_factory=Hashing)
    analyses: Analyses = field(default_factory=Analyses)
    policies: PolicySet = field(default_factory=PolicySet)
    answers: SharedAnswers | None = None
    policy_directory: Path | None = None
