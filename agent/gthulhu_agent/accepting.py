"""Whether a pushed set takes the place of the one that holds. Pure; everything else about a push is I/O."""

from __future__ import annotations

from enum import Enum, auto

from gthulhu_agent.state import Held
from gthulhu_wire.intents import DesiredSet
from gthulhu_wire.refusals import Refusal


class Outcome(Enum):
    """What becomes of a pushed set that is not refused."""

    TAKE = auto()
    REPEATED = auto()
    """It holds already: a retry of a push whose answer was lost."""


def judge(held: Held, pushed: DesiredSet, digest: str, *, adopt: bool) -> Outcome | Refusal:
    """Take, acknowledge again, or refuse.

    Within one owner (token, generation) has to grow. Between owners tokens come from different leases and cannot be
    compared, but the generation is the node's: it has to grow over an adoption as well, so that an owner's delayed
    push cannot take the node back.
    """
    if pushed.owner == held.owner:
        ours, theirs = (held.token, held.generation), (pushed.token, pushed.generation)
        if theirs == ours and digest == held.digest:
            return Outcome.REPEATED
        return Outcome.TAKE if theirs > ours else Refusal.STALE_GENERATION
    if held.owner and not adopt:
        return Refusal.FOREIGN_OWNER
    return Outcome.TAKE if pushed.generation > held.generation else Refusal.STALE_GENERATION
