"""Chapter 2: a person's wrong fix is measured to harm and is undone by itself; the specs before and after are shown."""

from __future__ import annotations

from aegis.cli.tour import exhibits
from aegis.cli.tour.chapter import Chapter, Claim, Told
from aegis.cli.tour.scene import Document, Scene, clock_of, verdict_of

NAMESPACE, WORKLOAD = "shop", "frontend"
ENTITY = f"deployment/{NAMESPACE}/{WORKLOAD}"
REPLICAS = 1
WANTED = {
    "action": "scale_deployment",
    "target": {"kind": "Deployment", "namespace": NAMESPACE, "name": WORKLOAD},
    "params": {"replicas": REPLICAS},
    "reason": "Checkout feels slow: three frontends fight for the same connections, one will do.",
}
WATCHED = ("error_ratio", "latency_p95")
LOOK_SECONDS = 20.0


def tell(scene: Scene) -> Told:
    before = _spec(scene)
    asked = scene.people.ravi.post("/remediations", WANTED)
    scene.happens("approve", f"Ravi asks for {WORKLOAD} to be scaled to {REPLICAS}")
    scene.follow_remediation(asked["id"])
    waiting = scene.until(lambda: _in(scene, asked["id"], "awaiting_approval"), within=60, hoped="a plan")
    scene.narrator.exhibit("The plan, from a dry run on the API server", exhibits.plan(waiting))
    _measure(scene)
    scene.people.ada.post(f"/remediations/{asked['id']}/approve", {"plan_digest": waiting["plan_digest"]})
    scene.happens("approve", "Ada trusts Ravi and approves: two people agree on a wrong fix")
    scene.until(lambda: _in(scene, asked["id"], "verifying"), within=60, hoped="the effect")
    between = _spec(scene)
    while _in(scene, asked["id"], "verifying") is not None:
        scene.let_pass(LOOK_SECONDS)
        _measure(scene)
    done = scene.until(lambda: _in(scene, asked["id"], "closed"), within=300, hoped="the end of it")
    undo = scene.undo_of(asked["id"])
    after = _spec(scene)
    scene.narrator.exhibit(
        "The whole spec of the Deployment, as the cluster's own API gives it (= is: as before)",
        exhibits.specs(before, between, after),
    )
    scene.until(lambda: None if scene.incidents() else scene.now, within=900, hoped="a quiet shop")
    scene.happens("incident", "every incident that the wrong fix opened has ended by itself")
    _measure(scene)
    return Told(_facts(done, undo, (before, between, after)), _claims(done, undo, (before, between, after)))


def _spec(scene: Scene) -> Document:
    """From the sandbox's Kubernetes API, as its admin: Aegis is not asked."""
    return scene.cluster.deployment(NAMESPACE, WORKLOAD).spec


def _in(scene: Scene, remediation_id: str, state: str) -> Document | None:
    item = scene.remediation(remediation_id)
    return item if item["state"] == state else None


def _measure(scene: Scene) -> None:
    errors, latency = (scene.measured(ENTITY, name) for name in WATCHED)
    words = f"{exhibits.number(errors, 'ratio')} of its requests fail, latency is {exhibits.number(latency, 's')} (p95)"
    scene.happens("measured", words)


def _facts(done: Document, undo: Document | None, specs: tuple[Document, Document, Document]) -> Document:
    before, between, after = specs
    return {
        "remediation": done["id"],
        "requested_by": done["requested_by"],
        "approved_by": [one["by"] for one in done["approvals"]["got"]],
        "diff": done["plan"]["diff"],
        "effect_at": clock_of(done["effect_at"]),
        "verdict": verdict_of(done),
        "sentence": done["verdict"]["sentence"],
        "undo": undo["id"] if undo else None,
        "undo_requested_by": undo["requested_by"] if undo else None,
        "undo_effect_at": clock_of(undo["effect_at"]) if undo and undo["effect_at"] else None,
        "states": [step["state"] for step in done["history"]],
        "spec_before": before,
        "spec_between": between,
        "spec_after": after,
        "fields_compared": len(dict(exhibits.fields(before))),
    }


def _claims(done: Document, undo: Document | None, specs: tuple[Document, Document, Document]) -> list[Claim]:
    before, between, after = specs
    count = len(dict(exhibits.fields(before)))
    return [
        Claim("samples say that the fix harmed", verdict_of(done) == "harmed"),
        Claim(
            "it was taken back by itself: nobody asked for the undo, nobody approved it",
            undo is not None and undo["requested_by"] == "aegis" and not undo["approvals"]["got"],
        ),
        Claim("the fix did change the spec", before != between),
        Claim(f"before and after are identical in all {count} fields of the spec", before == after),
    ]


CHAPTER = Chapter(
    "A wrong fix: measured, and undone by itself",
    "Ravi, an operator, has a theory and asks for the busy frontend to be scaled down. Policy lets operators ask, Ada "
    "approves, and both are wrong. Nothing stays that did not help: watch the samples, then the spec.",
    tell,
)
