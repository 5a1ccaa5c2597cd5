"""How often logins may be tried, in all and by one peer, in memory that does not grow with the number of peers."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

_PEERS = 4096
_IPV6_NETWORK = 64
"""Bits that a whole network has in common: one host has the other half of an IPv6 address to itself."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and then so many a second."""

    burst: float
    per_second: float


BY_PEER = Rate(60, 2)
"""Gthulhu's Manager asks for a token before each of its calls."""
IN_ALL = Rate(200, 20)


class Limits:
    """Token buckets. ``now`` is a monotonic time in seconds."""

    def __init__(self, *, by_peer: Rate = BY_PEER, in_all: Rate = IN_ALL) -> None:
        self._by_peer = by_peer
        self._in_all = in_all
        self._all = (in_all.burst, 0.0)
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, peer: str, now: float) -> bool:
        """Whether one more may be tried now; it counts as tried then.

        What one peer tries beyond its own rate takes nothing from the others'.
        """
        name = _network(peer)
        left = _filled(self._peers.get(name, (self._by_peer.burst, now)), self._by_peer, now)
        self._peers[name] = (left, now)
        self._peers.move_to_end(name)
        while len(self._peers) > _PEERS:
            self._peers.popitem(last=False)
        whole = _filled(self._all, self._in_all, now)
        if left < 1 or whole < 1:
            return False
        self._peers[name] = (left - 1, now)
        self._all = (whole - 1, now)
        return True


def _filled(bucket: tuple[float, float], rate: Rate, now: float) -> float:
    left, at = bucket
    return min(rate.burst, left + max(now - at, 0.0) * rate.per_second)


def _network(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))
