"""A real browser on the built page of a real API: people who are logged in, and rows as the loop would write them.

The fixtures `browser`, `site` and `visit` are in `conftest.py`. Every page that a test opens is watched: a violation of
the content policy or an error on the console fails the test at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page
from tests.integration.support_api import Api
from tests.integration.support_audit import sequencer

from aegis.identity.credentials import digest, new_session_id
from aegis.identity.passwords import Passwords
from aegis.kit.clock import to_epoch
from aegis.storage import incidents, processes, sessions, users
from aegis.storage.incidents import Incident
from aegis.storage.processes import Process

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
Scheme = Literal["light", "dark"]


@dataclass
class Site:
    """The API that serves the page, and what the loop's other processes would have written."""

    api: Api

    def beat(self, *names: str) -> None:
        """Heartbeats of these processes, as of now."""
        with self.api.database.begin() as conn:
            for name in names:
                processes.beat(conn, Process(name, f"{name}-1", "ok", "", self.api.clock.now()))

    def order_audit(self) -> None:
        """Give every audit entry its position, as the controller does."""
        sequencer(self.api.database, self.api.clock)[0].run_once()

    def sample(self, incident: Incident) -> None:
        """An hour of samples with their bands, kept with the incident."""
        end = to_epoch(self.api.clock.now())
        times = [end - 3600 + 30 * step for step in range(121)]
        usual = [0.4 + 0.02 * math.sin(step / 9) for step in range(121)]
        rise = [0.0] * 100 + [0.02 * step for step in range(21)]
        signal = {
            "unit": "ratio",
            "values": [one + more for one, more in zip(usual, rise, strict=True)],
            "expected": usual,
            "low": [one - 0.05 for one in usual],
            "high": [one + 0.05 for one in usual],
        }
        series = {"times": times, "signals": {"memory_limit_ratio": signal}}
        with self.api.database.begin() as conn:
            incidents.save_series(conn, incident.id, series, now=self.api.clock.now())

    def user(self, *roles: str, password: str | None = None) -> str:
        """Somebody with these roles; with a password they can log in by hand."""
        email = f"{'-'.join(roles)}@example.org"
        with self.api.database.begin() as conn:
            now = self.api.clock.now()
            hashed = Passwords().hash(password) if password else "none"
            users.create(conn, email=email, password_hash=hashed, roles=roles, by="test", now=now)
        return email


@dataclass
class Visit:
    """Opens pages as somebody, and looks at what the browser complained about."""

    browser: Browser
    site: Site
    _open: list[tuple[BrowserContext, Page]] = field(default_factory=list)
    _errors: list[str] = field(default_factory=list)
    expected_errors: tuple[str, ...] = ()

    def __call__(
        self, path: str = "/", *roles: str, scheme: Scheme = "light", width: int = 1280, height: int = 900
    ) -> Page:
        """A page at `path`, logged in with these roles, or not at all without."""
        context = self.browser.new_context(
            base_url=self.site.api.url,
            color_scheme=scheme,
            reduced_motion="reduce",
            viewport={"width": width, "height": height},
        )
        context.set_default_timeout(15_000)
        context.add_init_script(WATCH)
        if roles:
            context.add_cookies([self.session(*roles)])
        page = context.new_page()
        page.on("console", lambda said: self._errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.goto(path)
        self._open.append((context, page))
        return page

    def session(self, *roles: str) -> Any:
        email, session = self.site.user(*roles), new_session_id()
        with self.site.api.database.begin() as conn:
            sessions.open_session(conn, email, digest(session), now=self.site.api.clock.now())
        return {"name": "aegis_session", "value": session, "url": self.site.api.url, "httpOnly": True}

    def close(self) -> None:
        """Close every page; complaints that the test did not announce are failures."""
        violations = [one for _, page in self._open for one in page.evaluate("window.violations")]
        for context, _ in self._open:
            context.close()
        assert violations == []
        assert [error for error in self._errors if not any(one in error for one in self.expected_errors)] == []


def axe(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is shown now, by WCAG 2.2 A and AA: rule and place."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", list(WCAG))
    return [
        f"{one['id']}: {node['target']} {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]
    ]


def tab_to(page: Page, reached: Callable[[], bool], *, most: int = 60) -> int:
    """Press Tab until it is reached; returns how often. Fails when it cannot be reached by keyboard alone."""
    for presses in range(1, most + 1):
        page.keyboard.press("Tab")
        if reached():
            return presses
    raise AssertionError(f"not reached by {most} presses of Tab")
