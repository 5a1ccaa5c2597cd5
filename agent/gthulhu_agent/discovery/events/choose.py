"""Which way of hearing this node has."""

from __future__ import annotations

from gthulhu_agent.discovery.events.event import Events
from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.errors import AgentError, EventsError

WAYS = ("bpf", "connector")
"""Best first: bpf tells of watched cgroups alone, the connector of every exec and rename of the host."""


def open_events(name: str, layout: Layout) -> tuple[Events | None, str]:
    """Begin to hear.

    Args:
        name: auto (the best that works), bpf, connector or none.
        layout: the hierarchy that discovery reads.

    Returns:
        What to listen to, and why it is not something better; None where nothing works or nothing is wanted.
    """
    if name == "none":
        return None, "switched off"
    reasons: list[str] = []
    for way in WAYS if name == "auto" else (name,):
        try:
            return open_way(way, layout), "; ".join(reasons)
        except AgentError as error:
            reasons.append(f"{way}: {error}{f'; {error.cure}' if error.cure else ''}")
    return None, "; ".join(reasons)


def open_way(way: str, layout: Layout) -> Events:
    """Begin to hear in one way.

    Raises:
        AgentError: it does not work here.
    """
    match way:
        case "bpf":
            from gthulhu_agent.discovery.events.tracer import Tracer  # noqa: PLC0415 - loads libbpf only where asked for

            return Tracer(layout)
        case "connector":
            from gthulhu_agent.discovery.events.connector import Connector  # noqa: PLC0415 - where it is used

            return Connector()
        case _:
            raise EventsError(f"{way} is no way of hearing", f"one of auto, {', '.join(WAYS)}, none")
