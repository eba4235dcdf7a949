"""What happened, in one sentence that a person reads: for `why`.

Says what the records say, in plain words; it decides nothing and hides nothing.
"""

from __future__ import annotations

from typing import assert_never

from aegis.api.remediation_document import RemediationDocument
from aegis.incidents.sentence import in_the_past
from aegis.remediation.states import State
from aegis.storage.incidents import Incident


def about_incident(incident: Incident, remediation: RemediationDocument | None) -> str:
    """What was seen, and what came of it."""
    seen = seen_of(incident).rstrip(".")
    if remediation is not None:
        return f"{seen}; {about_remediation(remediation)}."
    if incident.proposals_sentence:
        return f"{seen}; {_lower(incident.proposals_sentence.rstrip('.'))}."
    return f"{seen}; nothing is proposed yet."


def seen_of(incident: Incident) -> str:
    """What was seen, in the past once the incident is closed; the text of an alert is left as it came."""
    described = incident.evidence and not incident.sentence.startswith("Alert ")
    return in_the_past(incident.sentence) if incident.closed_at and described else incident.sentence


def about_remediation(item: RemediationDocument) -> str:
    """A clause without its full stop: `scaling deployment/shop/cart to 5 replicas waits for 1 approval`."""
    return f"{_doing(item)} {_how_it_stands(item, item.reached)}"


def _doing(item: RemediationDocument) -> str:
    target = f"{item.target.kind.lower()}/{item.target.namespace}/{item.target.name}"
    match item.action:
        case "scale_deployment":
            return f"scaling {target} to {item.params.get('replicas')} replicas"
        case "rollback_deployment":
            return f"rolling back {target}"
        case _:
            return f"restarting {target}"


def _how_it_stands(item: RemediationDocument, state: State) -> str:
    reasons = "; ".join(refusal.sentence for refusal in item.refusals) or "no reason is on record"
    judged = item.verdict.sentence.rstrip(".") if item.verdict else ""
    match state:
        case State.PROPOSED:
            return "is proposed and being planned"
        case State.DENIED:
            return f"was refused: {reasons}"
        case State.AWAITING_APPROVAL:
            missing = max(0, item.approvals.needed - sum(one.verdict == "approve" for one in item.approvals.got))
            return f"waits for {missing} approval{'' if missing == 1 else 's'}"
        case State.REJECTED | State.EXPIRED:
            return f"was not approved: {reasons}"
        case State.APPROVED | State.READY:
            return "is approved and about to begin"
        case State.EXECUTING:
            return "is under way"
        case State.UNKNOWN:
            return "may or may not have taken effect: it is being read back"
        case State.FAILED:
            return f"failed: {reasons}"
        case State.EXECUTED | State.VERIFYING:
            return "is done, and its effect is being watched"
        case State.HELPED:
            return f"helped: {judged}"
        case State.NO_EFFECT:
            return f"did not help: {judged}"
        case State.HARMED:
            return f"did harm: {judged}"
        case State.INCONCLUSIVE:
            return f"may not have helped, nobody can tell: {judged}"
        case State.UNDOING:
            return f"did not help and is being taken back: {judged}"
        case State.UNDONE:
            return f"did not help and was taken back: {judged}"
        case State.UNDO_FAILED:
            return f"did not help and could not be taken back: {judged}"
        case State.CLOSED:
            return "is closed"
        case _:
            assert_never(state)


def _lower(sentence: str) -> str:
    """A sentence as a clause: only its first letter changes."""
    return sentence[:1].lower() + sentence[1:]
