"""Failures in the words of the Kubernetes API: a `Status` object with code, reason, message and details.

The registry, the access rules and the server raise `ApiError`; clients parse its `reason`, people read its `message`.
Messages repeat the real server's wording, because client code in the wild matches on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.kube.resources import Resource


class ApiError(Exception):
    """A refusal that travels to the client as a `Status`; `retry_after` becomes a header."""

    def __init__(
        self, code: int, reason: str, message: str, details: Obj | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Obj:
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if details:
            body["details"] = details
        return body


def _details(resource: Resource, name: str | None) -> Obj:
    details: Obj = {"kind": resource.plural}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    return details


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """422 with (field, reason, message) causes, e.g. `("spec.replicas", "FieldValueInvalid", "Invalid value: -1")`."""
    texts = [f"{field}: {message}" for field, _, message in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: Obj = {
        "name": name,
        "kind": resource.kind,
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes],
    }
    kind = resource.kind
    if resource.group:
        details["group"] = resource.group
        kind = f"{resource.kind}.{resource.group}"
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def too_many_requests(message: str, retry_after: int, details: Obj | None = None) -> ApiError:
    return ApiError(429, "TooManyRequests", message, details, retry_after)
