"""The closed loop, top to bottom: what happens to a remediation in each state, one stage, one transaction each.

sense → detect                           `sense.py`, once per new sample, and `alerted.py`
diagnose → recommend                     `recommend.py`, for each that is abnormal; ends with a proposal
decide → approve                         policy, guards and budgets say no, ask a person, or say yes
act                                      intent recorded, ticket minted, executor called, outcome read back
verify                                   HELPED, NO_EFFECT, HARMED or INCONCLUSIVE from samples alone
undo / escalate                          the inverse through the same gate, once; else a person
record                                   every move appends its audit entry in its own transaction
"""

from __future__ import annotations

from collections.abc import Mapping

from aegis.controller.act import act, commit_intent, prepare, read_back
from aegis.controller.approve import wait_for_approval
from aegis.controller.close import close
from aegis.controller.decide import decide
from aegis.controller.loop import Stage
from aegis.controller.undo import await_undo, undo_or_escalate
from aegis.controller.verify import begin_verification, verify
from aegis.remediation.states import State

STAGES: Mapping[State, Stage] = {
    # decide
    State.PROPOSED: decide,
    State.DENIED: close,
    # approve
    State.AWAITING_APPROVAL: wait_for_approval,
    State.REJECTED: close,
    State.EXPIRED: close,
    # act
    State.APPROVED: prepare,
    State.READY: commit_intent,
    State.EXECUTING: act,
    State.UNKNOWN: read_back,
    State.FAILED: close,
    # verify
    State.EXECUTED: begin_verification,
    State.VERIFYING: verify,
    State.HELPED: close,
    # undo / escalate
    State.NO_EFFECT: undo_or_escalate,
    State.HARMED: undo_or_escalate,
    State.INCONCLUSIVE: undo_or_escalate,
    State.UNDOING: await_undo,
    State.UNDONE: close,
    State.UNDO_FAILED: close,
}
