"""Strategies of the older BSS API: which pods their selectors reach now, and what has to be said of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.legacy.labels import Labelled
from gthulhu_agent.legacy.received import ReceivedStrategy
from gthulhu_wire.intents import PodRef

NO_LABELS_CURE = "set bss.kubernetes, give labels in pod_file, or let a Gthulhu Manager send intents, which carry them"


@dataclass(frozen=True, slots=True)
class StrategyState:
    """What a strategy came to: how many pods it reaches, and what stands in its way."""

    strategy: ReceivedStrategy
    pods: int
    refused: tuple[Refused, ...] = ()


def reached_pods(strategy: ReceivedStrategy, labelled: Mapping[str, Labelled]) -> tuple[PodRef, ...]:
    """The pods that have all labels that ``strategy`` selects by, in order of uid; none where it selects by none."""
    if not strategy.selectors:
        return ()
    wanted = set(strategy.selectors)
    return tuple(known.pod for _, known in sorted(labelled.items()) if wanted.issubset(known.labels))


def states(
    strategies: Sequence[ReceivedStrategy], labelled: Mapping[str, Labelled], running: Iterable[str], *, trouble: str
) -> tuple[StrategyState, ...]:
    """What each of ``strategies`` came to, in their order.

    Args:
        strategies: as received.
        labelled: the pods whose labels are known, by uid.
        running: uids of the pods that run here.
        trouble: why the API server does not tell labels, where it was to; else empty.
    """
    unknown = sum(uid not in labelled for uid in set(running))
    return tuple(_state(strategy, labelled, unknown, trouble) for strategy in strategies)


def _state(strategy: ReceivedStrategy, labelled: Mapping[str, Labelled], unknown: int, trouble: str) -> StrategyState:
    if not strategy.selectors:
        return StrategyState(strategy, 0, (_without_selectors(strategy),))
    pods = len(reached_pods(strategy, labelled))
    refused: list[Refused] = []
    if not labelled:
        why = "no pod's labels are known here, so that its selectors reach nothing"
        refused.append(Refused("labels", f"{why}: {trouble}" if trouble else why, NO_LABELS_CURE))
    elif unknown:
        why = f"the labels of {unknown} pods that run here are not known; it does not reach those"
        refused.append(Refused("labels", f"{why}: {trouble}" if trouble else why, NO_LABELS_CURE))
    return StrategyState(strategy, pods, tuple(refused))


def _without_selectors(strategy: ReceivedStrategy) -> Refused:
    if strategy.pid:
        return Refused(
            "pid",
            f"it names the process {strategy.pid}, which may be another one by now; it is listed and not enforced",
            "give it selectors",
        )
    return Refused("selectors", "it has neither selectors nor a pid and selects nothing", "give it selectors")
