"""One browser for each file, and for each test a site of its own and a way to visit it.

Not one for the whole run: Playwright keeps an event loop on the test's thread, and other files run their own there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.e2e.support_browser import AXE, FLAGS, ROOT, Site, Visit
from tests.integration.support_api import running_api

from aegis.api.deps import STATIC
from aegis.storage.embedded import EmbeddedPostgres

# A busy machine is no reason to fail: an expectation is met at once or, on the way to failing, waited for this long.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; each visit has a profile of its own."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "these tests need Debian's chromium on the PATH"
    if not (STATIC / "index.html").exists() or not AXE.exists():
        subprocess.run([sys.executable, ROOT / "scripts" / "build_ui.py"], check=True)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def site(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Site]:
    with running_api(postgres, tmp_path, static=STATIC) as api:
        made = Site(api)
        made.beat("controller", "engine", "executor")
        yield made


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    made = Visit(browser, site)
    yield made
    made.close()
