"""What a person says about a plan: rejected with a reason, never approved unseen, never by somebody who may not."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import update
from tests.e2e.support_browser import Site, Visit, axe, tab_to
from tests.integration.support_api import PLAN

from aegis.remediation.states import State
from aegis.storage import approvals, safety
from aegis.storage.approvals import Approval
from aegis.storage.remediations import Remediation
from aegis.storage.schema import remediations as table

pytestmark = [pytest.mark.integration, pytest.mark.e2e]
APPROVE = "Approve: Scale deployment cart"
REJECT = "Reject: Scale deployment cart"


def said_about(site: Site, item: Remediation) -> list[Approval]:
    with site.api.database.begin() as conn:
        return approvals.of(conn, item.id)


def change_plan(site: Site, item: Remediation, *, digest: str, **plan: object) -> None:
    """Another plan under the same remediation, as a second look of the controller makes it."""
    with site.api.database.begin() as conn:
        conn.execute(update(table).where(table.c.id == item.id).values(plan={**PLAN, **plan}, plan_digest=digest * 64))


def test_a_rejection_needs_a_reason_and_is_on_record_with_it(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "approver")
    page.get_by_role("button", name=REJECT).click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Reject")
    expect(confirm).to_be_disabled()
    page.get_by_label("Reason").fill("not during the sale")
    confirm.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    (said,) = said_about(site, item)
    assert (said.verdict, said.reason) == ("reject", "not during the sale")

    site.api.move(item, State.REJECTED, reason="approver@example.org rejected it: not during the sale")
    expect(page.locator(f"#{item.id}").get_by_text("Rejected").first).to_be_visible()
    expect(page.get_by_text("not during the sale").first).to_be_visible()


def test_a_plan_that_changed_while_somebody_read_it_is_shown_anew_and_not_approved(site: Site, visit: Visit) -> None:
    visit.expected_errors = ("status of 409",)
    incident = site.api.incident()
    item = site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "approver")
    expect(page.get_by_label("Difference")).to_contain_text("3")
    change_plan(site, item, digest="e", diff=[{"op": "replace", "path": "/spec/replicas", "from": 2, "to": 9}])
    page.get_by_role("button", name=APPROVE).click()

    expect(page.get_by_role("alert")).to_contain_text("The plan has changed. Nothing was approved.")
    expect(page.get_by_label("Difference")).to_contain_text("9")
    assert said_about(site, item) == []

    page.get_by_role("button", name=APPROVE).click()
    expect(page.get_by_text("1 of 1 approvals")).to_be_visible()
    assert [one.plan_digest for one in said_about(site, item)] == ["e" * 64]


def test_what_cannot_be_taken_back_is_approved_only_by_typing_its_name(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident)
    change_plan(site, item, digest="f", inverse=None, reversible=False)
    page = visit(f"/incidents/{incident.id}", "approver")
    expect(page.get_by_text("Cannot be taken back")).to_be_visible()
    page.get_by_role("button", name=APPROVE).click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Approve")
    expect(confirm).to_be_disabled()
    page.get_by_label("Type cart to confirm").fill("cart")
    confirm.click()
    expect(page.get_by_text("1 of 1 approvals")).to_be_visible()


def test_nobody_approves_what_they_asked_for_themselves(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident, by="approver-operator@example.org", roles=("operator",))
    page = visit(f"/incidents/{incident.id}", "approver", "operator")
    button = page.get_by_role("button", name=APPROVE)
    expect(button).to_be_disabled()
    button.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("somebody else must approve it")
    assert said_about(site, item) == []


def test_nothing_is_approved_while_aegis_is_stopped_and_the_page_says_so(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "approver")
    expect(page.get_by_role("button", name=APPROVE)).to_be_enabled()
    with site.api.database.begin() as conn:
        safety.stop(conn, by="ada@example.org", reason="a drill", now=site.api.clock.now())
    expect(page.get_by_role("button", name=APPROVE)).to_be_disabled()
    expect(page.get_by_label("Approval").get_by_text("Aegis is stopped").first).to_be_visible()
    expect(page.get_by_role("button", name=REJECT)).to_be_enabled()
    with site.api.database.begin() as conn:
        safety.resume(conn, by="ada@example.org", reason="over", now=site.api.clock.now())
    expect(page.get_by_role("button", name=APPROVE)).to_be_enabled()
    assert said_about(site, item) == []


def test_a_viewer_sees_everything_and_every_forbidden_button_names_the_permission(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "viewer")
    expect(page.get_by_label("Difference")).to_be_visible()
    forbidden = {APPROVE: "approvals:write", REJECT: "approvals:write", "Stop Aegis": "safety:stop"}
    for name, permission in forbidden.items():
        button = page.get_by_role("button", name=name)
        expect(button).to_be_disabled()
        button.focus()
        expect(page.get_by_role("tooltip").last).to_contain_text(permission)
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Mode: Approve").click()
    expect(page.get_by_role("menuitem", name=re.compile("^Auto"))).to_be_disabled()
    expect(page.get_by_text("Needs the permission safety:write").first).to_be_visible()
    assert axe(page) == []
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    assert said_about(site, item) == []


def test_a_plan_is_reached_read_and_approved_with_the_keyboard_alone(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    item = site.api.waiting(incident)
    page = visit("/", "approver")
    expect(page.get_by_role("link", name=re.compile("^Review"))).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    focused = "() => document.activeElement?.getAttribute('aria-label') ?? ''"
    tab_to(page, lambda: str(page.evaluate(focused)).startswith("Review:"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name=APPROVE)).to_be_visible()
    expect(page.locator("#main")).to_be_focused()
    tab_to(page, lambda: page.evaluate(focused) == APPROVE)
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus must be seen"
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 1 approvals")).to_be_visible()
    assert [one.verdict for one in said_about(site, item)] == ["approve"]


def test_a_dialog_keeps_the_focus_and_gives_it_back(site: Site, visit: Visit) -> None:
    incident = site.api.incident()
    site.api.waiting(incident)
    page = visit(f"/incidents/{incident.id}", "approver")
    page.get_by_role("button", name=REJECT).click()
    expect(page.get_by_label("Reason")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.closest('[role=dialog]') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name=REJECT)).to_be_focused()


def test_text_from_an_alert_is_shown_as_text(site: Site, visit: Visit) -> None:
    evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    with site.api.as_("operator") as people:
        people.post(
            "/alerts/alertmanager",
            json={
                "version": "4",
                "groupKey": "{}",
                "status": "firing",
                "receiver": "aegis",
                "groupLabels": {},
                "commonLabels": {},
                "commonAnnotations": {},
                "externalURL": "http://alertmanager.example",
                "alerts": [
                    {
                        "status": "firing",
                        "labels": {"alertname": "Evil", "namespace": "shop", "deployment": "cart"},
                        "annotations": {"summary": evil},
                        "startsAt": "2026-03-01T11:59:00Z",
                        "endsAt": "0001-01-01T00:00:00Z",
                        "generatorURL": "http://prometheus.example",
                        "fingerprint": "0123456789abcdef",
                    }
                ],
            },
        ).raise_for_status()
    incident = site.api.incident()
    with site.api.database.begin() as conn:
        conn.exec_driver_sql("UPDATE alerts SET incident_id = %s", (incident.id,))
    page = visit(f"/incidents/{incident.id}", "viewer")
    expect(page.get_by_text(evil)).to_be_visible()
    assert page.evaluate("window.hacked") is None
