"""Why the executor refuses a request: one code per rule, in the order in which the rules are checked.

The ticket's checks and the executor raise `Refused` with one of these codes; the client reads the code back.
This module never decides anything: it only names, and says which sentence a person reads.
"""

from __future__ import annotations

from enum import StrEnum

from aegis.kit.errors import Denied


class Refusal(StrEnum):
    """The closed set of reasons; the comment above a group names the check that gives it."""

    # size and shape of the request, before any cryptography
    HEADER_MISSING = "header_missing"
    HEADER_MALFORMED = "header_malformed"
    # MAC, clock, nonce
    BAD_SIGNATURE = "bad_signature"
    CLOCK_SKEW = "clock_skew"
    REPLAY = "replay"
    # strict parse
    BAD_JSON = "bad_json"
    NOT_CANONICAL = "not_canonical"
    BAD_BODY = "bad_body"
    # catalogue
    UNKNOWN_ACTION = "unknown_action"
    BAD_PARAMS = "bad_params"
    WRONG_TARGET_KIND = "wrong_target_kind"
    # namespace
    BAD_NAMESPACE = "bad_namespace"
    NAMESPACE_PROTECTED = "namespace_protected"
    NAMESPACE_NOT_ALLOWED = "namespace_not_allowed"
    # decision
    DECISION_MALFORMED = "decision_malformed"
    DECISION_ALGORITHM = "decision_algorithm"
    DECISION_TYPE = "decision_type"
    DECISION_SIGNATURE = "decision_signature"
    DECISION_CLAIMS = "decision_claims"
    DECISION_ISSUER = "decision_issuer"
    DECISION_AUDIENCE = "decision_audience"
    DECISION_NOT_YET_VALID = "decision_not_yet_valid"
    DECISION_EXPIRED = "decision_expired"
    DECISION_LIFETIME = "decision_lifetime"
    DECISION_DENIES = "decision_denies"
    # binding of decision to action
    DIGEST_MISMATCH = "digest_mismatch"
    # approvals
    REQUESTER_MISMATCH = "requester_mismatch"
    SELF_APPROVAL = "self_approval"
    APPROVAL_MISSING = "approval_missing"
    # use of the decision and of the action's id
    DECISION_USED = "decision_used"
    ID_REUSED = "id_reused"
    ID_WITHDRAWN = "id_withdrawn"
    # safety state
    SAFETY_UNKNOWN = "safety_unknown"
    STOPPED = "stopped"
    MODE_OBSERVE = "mode_observe"
    STALE_EPOCH = "stale_epoch"
    EPOCH_CONFLICT = "epoch_conflict"
    # live object
    OBJECT_GONE = "object_gone"
    STALE_UID = "stale_uid"
    STALE_GENERATION = "stale_generation"
    PRECONDITION = "precondition"
    # the executor's own hard limits
    REPLICA_LIMIT = "replica_limit"
    TARGET_BUSY = "target_busy"
    TOO_MANY_IN_FLIGHT = "too_many_in_flight"
    NAMESPACE_RATE = "namespace_rate"
    TOTAL_RATE = "total_rate"


class Refused(Denied):
    """The executor will not do this; nothing was touched. `code` is a `Refusal`."""

    kind = "refused"

    def __init__(self, code: Refusal, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(code.value, message, field=field, hint=hint)
        self.refusal = code
