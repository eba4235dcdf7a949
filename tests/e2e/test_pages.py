"""Every page, light and dark: nothing that axe finds, nothing that the content policy blocks, and every state."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.support_browser import Scheme, Site, Visit, axe

from aegis.incidents.dependencies import HEAL_ELSEWHERE
from aegis.remediation.states import State
from aegis.storage import incidents
from aegis.storage.remediations import Remediation

pytestmark = [pytest.mark.integration, pytest.mark.e2e]
EVERYTHING = ("viewer", "auditor", "operator", "approver", "admin")


def fill(site: Site) -> str:
    """An incident with a plan that waits, one with a verdict, one that was refused; its id."""
    incident = site.api.incident()
    site.sample(incident)
    site.api.waiting(incident)
    other = site.api.incident("checkout")
    healed = site.api.waiting(other, workload="deployment/shop/checkout")
    for state in (State.APPROVED, State.READY, State.EXECUTING, State.EXECUTED, State.VERIFYING):
        healed = site.api.move(healed, state)
    measure = {"signal": "memory_limit_ratio", "unit": "ratio", "before": 0.82, "after": 0.4, "better": True}
    verdict = {
        "verdict": "helped",
        "sentence": "memory_limit_ratio came back",
        "measures": [measure | {"change_percent": -51.2}],
    }
    helped = site.api.move(healed, State.HELPED, changes={"verdict": verdict, "effect_at": site.api.clock.now()})
    site.api.move(helped, State.CLOSED, changes={"close": "resolved"})
    refused = site.api.proposed(site.api.incident("search"), workload="deployment/shop/search")
    reason = {"code": "cooldown", "sentence": "the last action was two minutes ago"}
    site.api.move(refused, State.DENIED, changes={"refusals": [reason]})
    site.order_audit()
    return incident.id


def settled(page: Page) -> None:
    """Wait until the page shows what it came for: axe looks at what is there."""
    expect(page.locator("[role=status]", has_text="Loading")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page_and_the_policy_blocks_nothing(site: Site, visit: Visit, scheme: Scheme) -> None:
    first_admin = visit("/", scheme=scheme)
    expect(first_admin.get_by_role("heading", name="Create the first admin")).to_be_visible()
    assert axe(first_admin) == []

    incident = fill(site)
    page = visit("/", *EVERYTHING, scheme=scheme)
    expect(page.get_by_role("link", name=re.compile("^Review"))).to_be_visible()
    settled(page)
    assert axe(page) == []

    page.goto("/?state=closed")
    expect(page.get_by_text("No incident")).to_be_visible()
    assert axe(page) == []

    page.goto(f"/incidents/{incident}")
    expect(page.locator("canvas").first).to_be_visible()
    page.get_by_text("The samples as a table").click()
    settled(page)
    assert axe(page) == []

    page.goto("/audit")
    page.get_by_role("button", name=re.compile("^Details of entry")).first.click()
    settled(page)
    assert axe(page) == []

    login = visit("/login", scheme=scheme)
    expect(login.get_by_role("heading", name="Log in")).to_be_visible()
    assert axe(login) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_dialogs_menus_and_failures(site: Site, visit: Visit, scheme: Scheme) -> None:
    visit.expected_errors = ("status of 404", "status of 500")
    incident = fill(site)
    page = visit(f"/incidents/{incident}", *EVERYTHING, scheme=scheme)
    page.get_by_role("button", name=re.compile("^Reject:")).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Mode: Approve").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop Aegis").click()
    page.get_by_label("Reason").fill("a drill")
    page.get_by_role("button", name="Stop now").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Account and appearance")).click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    assert axe(page) == []

    page.goto("/incidents/inc_that_never_was")
    expect(page.get_by_text("There is no such incident")).to_be_visible()
    assert axe(page) == []
    page.route(
        "**/api/v1/incidents?**",
        lambda route: route.fulfill(
            status=500,
            content_type="application/problem+json",
            body='{"status":500,"code":"internal","detail":"Something broke.","request_id":"req_77"}',
        ),
    )
    page.goto("/")
    failure = page.get_by_role("alert")
    expect(failure).to_contain_text("Something broke.")
    expect(failure).to_contain_text("req_77")
    assert axe(page) == []
    page.unroute("**/api/v1/incidents?**")
    failure.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name=re.compile("cart in shop"))).to_be_visible()


def test_nothing_is_wider_than_a_small_phone(site: Site, visit: Visit) -> None:
    incident = fill(site)
    page = visit("/", *EVERYTHING, width=320, height=640)
    for path in ("/", f"/incidents/{incident}", "/audit"):
        page.goto(path)
        expect(page.locator("main .panel").first).to_be_visible()
        settled(page)
        if path == "/audit":
            page.get_by_role("button", name=re.compile("^Details of entry")).first.click()
        wide = page.evaluate(
            """() => document.documentElement.scrollWidth === innerWidth ? [] : [...document.querySelectorAll('body *')]
                .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                .map((one) => one.outerHTML.slice(0, 200))"""
        )
        assert wide == [], path


def test_everything_that_is_pressed_is_large_enough(site: Site, visit: Visit) -> None:
    """WCAG 2.5.8: 24 by 24 pixels; a link inside a sentence is exempt."""
    incident = fill(site)
    page = visit("/", *EVERYTHING)
    for path in ("/", f"/incidents/{incident}", "/audit"):
        page.goto(path)
        expect(page.locator("main .panel").first).to_be_visible()
        settled(page)
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, summary, input:not([type=radio]), nav a')]
                .map((one) => [one.getAttribute('aria-label') ?? one.textContent, one.getBoundingClientRect()])
                .filter(([, box]) => box.height > 0 && (box.height < 24 || box.width < 24))
                .map(([name, box]) => `${name} ${box.width}x${box.height}`)"""
        )
        assert small == [], path


def test_incidents_are_paged_by_the_api_and_the_page_is_in_the_url(site: Site, visit: Visit) -> None:
    for number in range(55):
        site.api.incident(f"service-{number}")
        site.api.clock.advance(1)
    page = visit("/", "viewer")
    expect(page.get_by_role("link", name=re.compile("service-54 in shop"))).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name=re.compile("service-0 in shop"))).to_be_visible()
    expect(page).to_have_url(re.compile("cursor="))
    page.reload()
    expect(page.get_by_role("link", name=re.compile("service-0 in shop"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name=re.compile("service-54 in shop"))).to_be_visible()


def test_the_timeline_leads_to_the_audit_entry_and_the_search_finds_it(site: Site, visit: Visit) -> None:
    incident = fill(site)
    page = visit(f"/incidents/{incident}", *EVERYTHING)
    link = page.get_by_role("link", name=re.compile("^audit #")).first
    position = re.sub(r"\D", "", link.inner_text())
    link.click()
    expect(page.get_by_label(f"Entry {position}", exact=True)).to_contain_text(incident)

    page.get_by_role("searchbox").fill("incident:opened")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("q=incident%3Aopened"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("incident:opened")
    expect(page.get_by_text("remediation:proposed")).to_have_count(0)


def test_a_victim_leads_to_the_incident_it_may_suffer_from(site: Site, visit: Visit) -> None:
    culprit, victim = site.api.incident("catalog"), site.api.incident("search")
    said = {"class": "error_burst", "probability": 0.78, "abstained": False, "reasons": [], "alternatives": []}
    with site.api.database.begin() as conn:
        for incident, recommendation in ((culprit, "Restart catalog."), (victim, HEAL_ELSEWHERE)):
            now = site.api.clock.now()
            incidents.diagnosed(conn, incident.id, said, sentence=incident.sentence, now=now)
            incidents.recommended(conn, incident.id, recommendation, now=now)
    page = visit("/", "viewer")
    expect(page.get_by_role("row", name=re.compile("search in shop"))).to_contain_text("Because of catalog")
    page.get_by_role("link", name=re.compile("search in shop")).click()
    page.get_by_role("link", name="shop / catalog").click()
    expect(page).to_have_url(re.compile(culprit.id))


def test_a_new_incident_appears_while_one_looks(site: Site, visit: Visit) -> None:
    page = visit("/", "viewer")
    expect(page.get_by_text("No open incident")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    site.api.incident()
    expect(page.get_by_role("link", name=re.compile("cart in shop"))).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="1 open incidents")).to_have_count(1)


def test_the_look_chosen_stays_chosen(site: Site, visit: Visit) -> None:
    page = visit("/", "viewer", scheme="light")
    page.get_by_role("button", name=re.compile("^Account and appearance")).click()
    page.get_by_text("Dark", exact=True).click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_an_undone_fix_says_what_was_taken_back(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item: Remediation = site.api.waiting(incident)
    for state in (State.APPROVED, State.READY, State.EXECUTING, State.EXECUTED, State.VERIFYING):
        item = site.api.move(item, state)
    verdict = {"verdict": "harmed", "sentence": "error_ratio went from 0.01 to 0.3 after the action", "measures": []}
    item = site.api.move(item, State.HARMED, changes={"verdict": verdict})
    page = visit(f"/incidents/{incident.id}", "viewer")
    expect(page.get_by_label("Verdict")).to_contain_text("Error ratio went from 0.01 to 0.3 after the action")
    site.api.move(site.api.move(item, State.UNDOING), State.UNDONE)
    expect(page.locator(f"#{item.id} header").get_by_text("Undone")).to_be_visible()
