"""Which address asks: the peer's, or the one that a proxy of ours says it passes on.

Limits of login attempts go by it. Nobody but the configured proxies is believed, and of a chain only what they added.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

from aegis.kit.serving import is_address

Networks = Sequence[IPv4Network | IPv6Network]


def networks(text: str) -> Networks:
    """`10.0.0.0/8, 192.0.2.7` as networks; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def address_of(request: Request, proxies: Networks) -> str:
    """The last address in the chain that is none of our proxies; the peer's where there is no such address."""
    peer = request.client.host if request.client else "unknown"
    if not _one_of(peer, proxies):
        return peer
    given = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in given.split(",")]
    asked = next((hop for hop in reversed(hops) if not _one_of(hop, proxies)), peer)
    return asked if is_address(asked) else peer


def _one_of(text: str, proxies: Networks) -> bool:
    if not is_address(text):
        return False
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in proxies)
