"""The safety controls on every page: stop, resume, mode; and what the page says when something is down."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.e2e.support_browser import Site, Visit

from aegis.storage import safety
from aegis.storage.safety import Safety

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


def now(site: Site) -> Safety:
    with site.api.database.begin() as conn:
        return safety.read(conn)


def test_the_kill_switch_stops_with_a_reason_and_only_some_resume(site: Site, visit: Visit) -> None:
    operator, admin = visit("/", "operator"), visit("/audit", "admin")
    operator.get_by_role("button", name="Stop Aegis").click()
    dialog = operator.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Stop now")).to_be_disabled()
    dialog.get_by_label("Reason").fill("it restarts the wrong thing")
    dialog.get_by_role("button", name="Stop now").click()
    expect(operator.get_by_text("Stopped by operator@example.org")).to_be_visible()
    assert now(site).stopped
    assert now(site).reason == "it restarts the wrong thing"
    expect(operator.get_by_role("button", name="Resume")).to_be_disabled()

    # Everybody else sees it at once, wherever they are.
    expect(admin.get_by_text("it restarts the wrong thing").first).to_be_visible()
    admin.get_by_role("button", name="Resume").click()
    admin.get_by_label("Reason").fill("the wrong rule is gone")
    admin.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(admin.get_by_role("button", name="Stop Aegis")).to_be_visible()
    expect(operator.get_by_role("button", name="Stop Aegis")).to_be_visible()
    assert not now(site).stopped


def test_the_mode_changes_with_a_reason(site: Site, visit: Visit) -> None:
    page = visit("/", "admin")
    page.get_by_role("button", name="Mode: Approve").click()
    page.get_by_role("menuitem", name=re.compile("^Observe")).click()
    page.get_by_label("Reason").fill("deploy freeze")
    page.get_by_role("button", name="Change to observe").click()
    expect(page.get_by_role("button", name="Mode: Observe")).to_be_visible()
    assert (now(site).mode, now(site).reason) == ("observe", "deploy freeze")


def test_a_process_that_is_not_heard_any_more_is_named_with_what_cannot_happen(site: Site, visit: Visit) -> None:
    site.api.clock.advance(60)
    site.beat("controller", "engine")
    page = visit("/", "viewer")
    expect(page.get_by_text("The executor is down: nothing can be carried out.")).to_be_visible()


def test_offline_is_said_and_nothing_can_be_approved_or_queued(site: Site, visit: Visit) -> None:
    visit.expected_errors = ("ERR_INTERNET_DISCONNECTED",)
    incident = site.api.incident()
    site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "approver")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("Aegis cannot be reached.")).to_be_visible()
    expect(page.get_by_text("Offline", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Approve:"))).to_be_disabled()
    page.context.set_offline(False)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Approve:"))).to_be_enabled()


def test_without_its_stream_the_page_polls_and_says_so(site: Site, visit: Visit) -> None:
    visit.expected_errors = ("ERR_FAILED",)
    page = visit("/login")
    page.route("**/api/v1/events", lambda route: route.abort())
    page.context.add_cookies([visit.session("viewer")])
    page.goto("/")
    expect(page.get_by_text("Polling", exact=True)).to_be_visible()
    site.api.incident()
    expect(page.get_by_role("link", name=re.compile("cart in shop"))).to_be_visible()


def test_a_session_that_ended_leads_to_the_login_and_back_here(site: Site, visit: Visit) -> None:
    visit.expected_errors = ("status of 401",)
    page = visit("/?state=all", "viewer")
    expect(page.get_by_text("No incident")).to_be_visible()
    with site.api.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM sessions")
    expect(page).to_have_url(re.compile(r"/login\?next=%2F%3Fstate%3Dall"))
