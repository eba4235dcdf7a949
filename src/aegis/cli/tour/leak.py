"""Chapter 1: a leak is found, explained, approved, fixed and measured to have helped."""

from __future__ import annotations

from aegis.cli.tour import exhibits
from aegis.cli.tour.chapter import Chapter, Claim, Told
from aegis.cli.tour.people import ADA
from aegis.cli.tour.scene import Document, Scene, clock_of, verdict_of
from aegis.kit.errors import Conflict

WORKLOAD = "cart"
ENTITY = f"deployment/shop/{WORKLOAD}"
STRENGTH = 3.0  # times the leak of the catalogue of faults: found within a minute, full after ten
THINKING_SECONDS = (60.0, 60.0, 60.0)


def tell(scene: Scene) -> Told:
    fault = scene.system.sandbox.start_fault("memory_leak", WORKLOAD, strength=STRENGTH)
    began = scene.now
    scene.happens("sandbox", f"{WORKLOAD} begins to leak, {STRENGTH:g} times as fast as {fault.kind} does by itself")
    found = scene.until(lambda: scene.incident_of(ENTITY), within=300, hoped=f"an incident on {ENTITY}")
    scene.follow_incident(found["id"])
    waiting = scene.until(lambda: _waiting(scene, found["id"]), within=300, hoped="a plan that waits for approval")
    asked = scene.incident(found["id"])
    _show(scene, asked, waiting)
    _think(scene)
    approved_at = _approve(scene, waiting)
    done = scene.until(lambda: _judged(scene, waiting["id"]), within=420, hoped="a verdict")
    scene.narrator.exhibit(f"{str(verdict_of(done)).upper()}: {done['verdict']['sentence']}", exhibits.measures(done))
    scene.system.sandbox.stop_fault(fault.id)
    scene.happens("sandbox", f"a new release of {WORKLOAD} without the leak: the fault is stopped")
    over = scene.until(lambda: _resolved(scene, found["id"]), within=600, hoped="the end of the incident")
    return Told(_facts(began, asked, done, over), _claims(asked, done, over, approved_at))


def _waiting(scene: Scene, incident_id: str) -> Document | None:
    items = scene.incident(incident_id)["remediations"]
    return next((item for item in items if item["state"] == "awaiting_approval"), None)


def _show(scene: Scene, incident: Document, waiting: Document) -> None:
    scene.narrator.exhibit("Evidence", exhibits.evidence(incident))
    scene.narrator.exhibit("Diagnosis", exhibits.diagnosis(incident))
    scene.narrator.exhibit("The plan, from a dry run on the API server", exhibits.plan(waiting))


def _think(scene: Scene) -> None:
    """People take minutes; the leak does not wait for them."""
    scene.narrator.say("    Nothing is touched until somebody agrees. Ada reads the plan; the leak goes on meanwhile.")
    for seconds in THINKING_SECONDS:
        scene.let_pass(seconds)
        use = exhibits.number(scene.measured(ENTITY, "memory_limit_ratio"), "ratio")
        scene.happens("measured", f"memory use of its limit is {use}")


def _approve(scene: Scene, waiting: Document) -> str:
    """Ada approves exactly the plan she was shown, over HTTP with her own token; returns when."""
    scene.narrator.pause("Enter approves exactly this plan as Ada (or press Approve on the page first).")
    try:
        scene.people.ada.post(f"/remediations/{waiting['id']}/approve", {"plan_digest": waiting["plan_digest"]})
    except Conflict as conflict:
        if conflict.code != "already_decided":  # somebody was quicker on the page
            raise
    got = scene.remediation(waiting["id"])["approvals"]["got"]
    return str(got[0]["at"])


def _judged(scene: Scene, remediation_id: str) -> Document | None:
    item = scene.remediation(remediation_id)
    return item if item["state"] == "closed" else None


def _resolved(scene: Scene, incident_id: str) -> Document | None:
    incident = scene.incident(incident_id)
    return incident if incident["state"] == "resolved" else None


def _facts(began: str, asked: Document, done: Document, over: Document) -> Document:
    return {
        "fault_began": began,
        "incident": asked["id"],
        "entity": asked["entity"],
        "found_at": clock_of(asked["opened_at"]),
        "class": asked["diagnosis"]["class"],
        "probability": asked["diagnosis"]["probability"],
        "reasons": asked["diagnosis"]["reasons"],
        "evidence": asked["evidence"],
        "remediation": done["id"],
        "action": done["action"],
        "diff": done["plan"]["diff"],
        "policy": done["decision"]["sentence"],
        "approved_by": [one["by"] for one in done["approvals"]["got"]],
        "effect_at": clock_of(done["effect_at"]) if done["effect_at"] else None,
        "verdict": verdict_of(done),
        "sentence": done["verdict"]["sentence"] if done["verdict"] else None,
        "measures": done["verdict"]["measures"] if done["verdict"] else [],
        "resolved_at": clock_of(over["closed_at"]),
    }


def _claims(asked: Document, done: Document, over: Document, approved_at: str) -> list[Claim]:
    acted = done["effect_at"] or ""
    return [
        Claim(
            "the leak was found and named without anybody telling Aegis", asked["diagnosis"]["class"] == "memory_leak"
        ),
        Claim(
            "nothing was touched before Ada approved",
            acted >= approved_at and [one["by"] for one in done["approvals"]["got"]] == [ADA],
        ),
        Claim("samples from after the restart say that it helped", verdict_of(done) == "helped"),
        Claim("the incident ended once its signals were back for two minutes", over["state"] == "resolved"),
    ]


CHAPTER = Chapter(
    "A leak: found, explained, approved, fixed, helped",
    "The shop's cart service begins to leak memory. Nobody tells Aegis. It has to see it in the samples, say what it "
    "is and why, show its plan, and wait: the mode is approve, so a person decides. Then samples decide if it helped.",
    tell,
)
