"""Who may take a node over from another owner."""

from __future__ import annotations

from gthulhu_agent.agent import Refused
from gthulhu_agent.api.callers import PROVE
from gthulhu_agent.api.calls import Call
from gthulhu_wire.refusals import Refusal


def adopts(call: Call) -> bool:
    """Whether ``call`` asks to adopt the node.

    Raises:
        Refused: it does, and its login proves no possession of a key (fault X-02).
    """
    asked = call.query.get("adopt") == "true"
    if asked and not call.trusted:
        raise Refused(Refusal.FORBIDDEN, "this login proves no possession of a key, and cannot adopt a node", PROVE)
    return asked
