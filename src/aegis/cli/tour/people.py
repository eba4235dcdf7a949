"""The two people of the tour, made as real ones are: the first admin with the one-time token, who invites an operator.

Each speaks to the API over HTTP with an access token of their own. Passwords are made at random and live as long as
the tour.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aegis.cli.client import Api
from aegis.cli.rehearsal import Rehearsal
from aegis.kit.errors import Unavailable

ADA, RAVI = "ada@shop.example", "ravi@shop.example"


@dataclass(frozen=True, slots=True)
class People:
    """`ada` is the first admin and approves; `ravi` is an operator. `password` is Ada's, for the web page."""

    ada: Api
    ravi: Api
    password: str

    def close(self) -> None:
        for api in (self.ada, self.ravi):
            api.__exit__()


def meet(system: Rehearsal) -> People:
    """Bootstrap, invite and log in through the API of `system`."""
    if system.api_url is None:
        raise Unavailable("api_not_open", "the rehearsal serves no API yet")
    hers, his = _password(), _password()
    with Api(system.api_url, anonymous=True) as door:
        door.post("/auth/bootstrap", {"token": system.first_admin_token, "email": ADA, "password": hers})
        ada = Api(system.api_url, token=_token(door, ADA, hers))
        ada.post("/users", {"email": RAVI, "password": his, "roles": ["operator"]})
        return People(ada, Api(system.api_url, token=_token(door, RAVI, his)), hers)


def _token(door: Api, email: str, password: str) -> str:
    answer = door.post("/auth/tokens", {"email": email, "password": password, "name": "aegis demo"})
    return str(answer["token"])


def _password() -> str:
    """Random, and short enough to be typed into the page."""
    return "-".join(secrets.token_hex(2) for _ in range(4))
