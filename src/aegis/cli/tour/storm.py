"""Chapter 3: forty alerts get few actions and refusals that name their budget; a genuine fault is still fixed."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from aegis.cli.tour import exhibits
from aegis.cli.tour.chapter import Chapter, Claim, Told
from aegis.cli.tour.scene import Document, Scene, clock_of, verdict_of
from aegis.kit.clock import rfc3339
from aegis.sandbox.shop.services import Service

NAMESPACE, COUNT = "batch", 40
GENUINE = "deployment/shop/catalog"
ALERT = "JobHighErrorRate"
BUDGET = re.compile(r"the (\w+) budget of (\S+) is used up")
SETTLE_SECONDS, STORM_SECONDS, LOOK_SECONDS = 20.0, 200.0, 10.0


def tell(scene: Scene) -> Told:
    jobs = scene.system.sandbox.add_workloads(NAMESPACE, COUNT)
    scene.happens("sandbox", f"{COUNT} small jobs are deployed into the namespace {NAMESPACE}")
    scene.people.ada.put("/safety/mode", {"mode": "auto", "reason": "the night shift is short of people"})
    scene.happens("decide", "Ada sets the mode to auto: what policy allows needs no person now")
    scene.let_pass(SETTLE_SECONDS)
    earlier = {item["id"] for item in scene.remediations()}
    fault = scene.system.sandbox.start_fault("error_burst", "catalog")
    scene.happens("sandbox", f"{fault.service.name} breaks for real: {fault.describes}")
    received = scene.people.ravi.post("/alerts/alertmanager", _webhook(scene, jobs))["received"]
    scene.happens("sense", f"{received} alerts {ALERT} arrive from Alertmanager in one call")
    _watch_storm(scene)
    genuine = scene.until(lambda: _fixed(scene), within=300, hoped=f"the end of the remediation of {GENUINE}")
    since = [item for item in scene.remediations() if item["id"] not in earlier]
    refused = _refusals(_of(since, NAMESPACE))
    scene.narrator.exhibit(f"What was refused in {NAMESPACE}, by the budget that said no", _refused_table(refused))
    title = f"catalog, meanwhile: {str(verdict_of(genuine)).upper()}, {genuine['verdict']['sentence']}"
    scene.narrator.exhibit(title, exhibits.measures(genuine))
    watched = sum(item["state"] == "verifying" for item in _of(since, NAMESPACE))
    words = (
        f"{watched} of the restarts in {NAMESPACE} are still being watched: without a sample, none is called a success"
    )
    scene.happens("verify", words)
    facts = {
        "alerts": received,
        "incidents": len(scene.incidents(state="all", namespace=NAMESPACE)),
        "still_verifying": watched,
        "acted_on": _acted_on(_of(since, NAMESPACE)),
        "restarted_in_cluster": sorted(job.name for job in jobs if _restarted(scene, job)),
        "refusals": dict(sorted(Counter(one["budget"] for one in refused).items())),
        "sentences": sorted({one["sentence"] for one in refused}),
        "codes": sorted({one["code"] for one in refused}),
        "genuine": _genuine_facts(genuine),
        "acted_on_in_shop": _acted_on(_of(since, "shop")),
    }
    return Told(facts, _claims(scene, facts, len(refused)))


def _genuine_facts(genuine: Document) -> Document:
    return {
        "remediation": genuine["id"],
        "action": genuine["action"],
        "effect_at": clock_of(genuine["effect_at"]),
        "verdict": verdict_of(genuine),
        "measures": genuine["verdict"]["measures"],
    }


def _of(items: list[Document], namespace: str) -> list[Document]:
    return [item for item in items if item["target"]["namespace"] == namespace]


def _acted_on(items: list[Document]) -> list[str]:
    return sorted(item["target"]["name"] for item in items if item["effect_at"])


def _webhook(scene: Scene, jobs: list[Service]) -> dict[str, Any]:
    """As Alertmanager sends it, version 4."""
    started = rfc3339(scene.system.clock.now() - timedelta(minutes=1))
    return {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": ALERT,
                    "severity": "warning",
                    "namespace": job.namespace,
                    "deployment": job.name,
                },
                "annotations": {"summary": f"more than 5 % of the requests of {job.name} fail"},
                "startsAt": started,
            }
            for job in jobs
        ],
    }


def _watch_storm(scene: Scene) -> None:
    """Let the storm pass; the genuine incident is told line by line, the storm whenever it got further."""
    told: tuple[int, int] | None = None
    followed = False
    for _ in range(round(STORM_SECONDS / LOOK_SECONDS)):
        scene.let_pass(LOOK_SECONDS)
        if not followed and (incident := scene.incident_of(GENUINE)) is not None:
            scene.follow_incident(incident["id"])
            followed = True
        items = _of(scene.remediations(), NAMESPACE)
        acted, refused = len(_acted_on(items)), len(_refusals(items))
        if (acted, refused) != told:
            told = (acted, refused)
            scene.happens("decide", f"{NAMESPACE}: {acted} of {COUNT} jobs restarted so far, {refused} refusals")


def _fixed(scene: Scene) -> Document | None:
    found = [item for item in scene.remediations() if exhibits.target(item) == GENUINE and item["state"] == "closed"]
    return found[0] if found else None


def _refusals(items: list[Document]) -> list[dict[str, str]]:
    """Every refusal with the budget it names; `budget` is empty where it names none."""
    found = []
    for item in items:
        for refusal in item["refusals"]:
            named = BUDGET.match(refusal["sentence"])
            found.append({**refusal, "budget": named[1] if named else "", "job": item["target"]["name"]})
    return found


def _refused_table(refused: list[dict[str, str]]) -> Table:
    table = Table("budget", "refusals", "jobs", "in its own words", box=None, padding=(0, 3, 0, 0))
    for budget, count in Counter(one["budget"] for one in refused).most_common():
        mine = [one for one in refused if one["budget"] == budget]
        sentence = Text(mine[0]["sentence"])
        table.add_row(budget or "none named", str(count), str(len({one["job"] for one in mine})), sentence)
    return table


def _restarted(scene: Scene, job: Service) -> bool:
    """Whether the cluster itself has seen another pod template than the one deployed."""
    return scene.cluster.deployment(job.namespace, job.name).generation > 1


def _claims(scene: Scene, facts: Document, refused: int) -> list[Claim]:
    most = scene.system.controller.loop.limits.storm.capacity
    acted = len(facts["acted_on"])
    return [
        Claim(
            f"{COUNT} alerts opened {facts['incidents']} incidents, and {acted} jobs were restarted: "
            f"until those have shown that they help, the storm budget allows {most}",
            facts["alerts"] == facts["incidents"] == COUNT and 0 < acted <= most,
        ),
        Claim(
            "the cluster saw exactly those restarts and no other", facts["restarted_in_cluster"] == facts["acted_on"]
        ),
        Claim(
            f"each of the {refused} refusals names its budget",
            refused > 0 and facts["codes"] == ["budget_exhausted"] and "" not in facts["refusals"],
        ),
        Claim("the genuine fault in shop was fixed meanwhile, and it helped", facts["genuine"]["verdict"] == "helped"),
        Claim("the callers of catalog, which only suffered, were left alone", facts["acted_on_in_shop"] == ["catalog"]),
    ]


CHAPTER = Chapter(
    "A storm: forty alerts, few actions, and one genuine fault",
    "Forty jobs alert in the same second. The alerts are wrong, and Aegis cannot know that; restarting all of them "
    "would be an outage of its own. At the same time catalog in shop really breaks, and that has to be fixed.",
    tell,
)
