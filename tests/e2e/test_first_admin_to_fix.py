"""The whole way of a person: make the first account, see what is wrong, read the plan, approve it, watch it happen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.e2e.support_browser import Site, Visit
from tests.integration.support_api import DIGEST, PASSWORD, TOKEN

from aegis.remediation.states import State
from aegis.storage import approvals

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


def test_the_first_admin_logs_in_reads_the_plan_approves_it_and_sees_it_go_on(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    site.sample(incident)
    waiting = site.api.waiting(incident)
    page = visit("/")

    expect(page).to_have_url(re.compile("/first-admin$"))
    page.get_by_label("One-time token").fill(TOKEN)
    page.get_by_label("E-mail").fill("Ada@Example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()

    expect(page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("link", name="Review: Scale deployment cart").click()

    expect(page).to_have_url(re.compile(f"/incidents/{incident.id}"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("cart in shop: memory")
    expect(page.get_by_label("Difference")).to_contain_text("replicas")
    expect(page.get_by_role("figure", name=re.compile("^Memory use of its limit"))).to_be_visible()
    page.get_by_role("button", name="Approve: Scale deployment cart").click()

    expect(page.get_by_text("1 of 1 approvals")).to_be_visible()
    with site.api.database.begin() as conn:
        (said,) = approvals.of(conn, waiting.id)
    assert (said.by, said.verdict, said.plan_digest) == ("ada@example.org", "approve", DIGEST)

    # What the controller does next arrives by itself: nobody reloads the page.
    site.api.move(waiting, State.APPROVED)
    expect(_panel(page, waiting.id).get_by_text("Approved", exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="Approve: Scale deployment cart")).to_have_count(0)


def test_a_wrong_token_makes_nobody_admin_and_says_so(visit: Visit) -> None:
    visit.expected_errors = ("status of 403",)
    page = visit("/first-admin")
    expect(page.get_by_label("One-time token")).to_be_focused()
    page.get_by_label("One-time token").fill("not the token")
    page.get_by_label("E-mail").fill("eve@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not the first admin's token")
    expect(page).to_have_url(re.compile("/first-admin$"))


def test_a_login_leads_back_to_the_page_that_was_asked_for(site: Site, visit: Visit) -> None:
    email = site.user("auditor", password=PASSWORD)
    page = visit("/audit?q=incident")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/audit\?q=incident$"))


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(site: Site, visit: Visit) -> None:
    visit.expected_errors = ("status of 401",)
    email = site.user("viewer", password=PASSWORD)
    page = visit("/")
    expect(page).to_have_url(re.compile("/login$"))  # the first page is where everybody goes anyway
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill("another password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("Address or password is wrong")


def test_after_logging_out_the_page_shows_nothing_of_before(site: Site, visit: Visit) -> None:
    site.api.incident()
    page = visit("/", "viewer")
    expect(page.get_by_role("link", name=re.compile("cart in shop"))).to_be_visible()
    page.get_by_role("button", name=re.compile("^Account and appearance")).click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login$"))
    expect(page.get_by_text("cart in shop")).to_have_count(0)
    page.goto("/")
    expect(page).to_have_url(re.compile("/login"))


def _panel(page: Page, remediation_id: str) -> Locator:
    return page.locator(f"#{remediation_id}")
