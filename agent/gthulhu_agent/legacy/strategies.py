"""Strategies of the older BSS API: which pods their selectors reach now, and what has to be said of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.legacy.labels import Labelled
from gthulhu_agent.legacy.received import ReceivedStrategy
from gthulhu_wire.intents import PodRef

_CURE = "set bss.kubernetes, give labels in pod_file, or let a Gthulhu Manager send intents, which carry them"


@dataclass(frozen=True, slots=True)
class StrategyState:
    """What a strategy came to: how many pods it reaches, and what stands in its way."""

    strategy: ReceivedStrategy
    pods: int
    refused: tuple[Refused, ...] = ()


class Reachable:
    """Pods by their labels: 100,000 strategies cost what they reach, not strategies times pods."""

    def __init__(self, labelled: Mapping[str, Labelled]) -> None:
        self._labelled = labelled
        self._having: dict[tuple[str, str], set[str]] = {}
        for uid, known in labelled.items():
            for pair in known.labels:
                self._having.setdefault(pair, set()).add(uid)

    def by(self, strategy: ReceivedStrategy) -> tuple[PodRef, ...]:
        """The pods that have all labels that ``strategy`` selects by, in order of uid; none where it selects by none.

        A pod's labels are a map: of two values for one key at most one is there.
        """
        having: list[set[str]] = []
        for pair in strategy.selectors:
            found = self._having.get(pair)
            if found is None:
                return ()
            having.append(found)
        if not having:
            return ()
        having.sort(key=len)
        return tuple(self._labelled[uid].pod for uid in sorted(having[0].intersection(*having[1:])))


def missing_labels(labelled: Mapping[str, Labelled], running: Iterable[str], trouble: str) -> Refused | None:
    """What stands in the way of every strategy with selectors: labels that nobody told. None where all are known.

    Args:
        labelled: the pods whose labels are known, by uid.
        running: uids of the pods that run here.
        trouble: why the API server does not tell labels, where it was to; else empty.
    """
    unknown = sum(uid not in labelled for uid in set(running))
    if not labelled:
        why = "no pod's labels are known here, so that its selectors reach nothing"
    elif unknown:
        why = f"the labels of {unknown} pods that run here are not known; it does not reach those"
    else:
        return None
    return Refused("labels", f"{why}: {trouble}" if trouble else why, _CURE)


def states(
    strategies: Sequence[ReceivedStrategy], labelled: Mapping[str, Labelled], missing: Refused | None
) -> tuple[StrategyState, ...]:
    """What each of ``strategies`` came to, in their order; ``missing`` is what :func:`missing_labels` says."""
    reachable = Reachable(labelled)
    waits = () if missing is None else (missing,)
    return tuple(
        StrategyState(one, len(reachable.by(one)), waits)
        if one.selectors
        else StrategyState(one, 0, (_without_selectors(one),))
        for one in strategies
    )


def _without_selectors(strategy: ReceivedStrategy) -> Refused:
    if strategy.pid:
        return Refused(
            "pid",
            f"it names the process {strategy.pid}, which may be another one by now; it is listed and not enforced",
            "give it selectors",
        )
    return Refused("selectors", "it has neither selectors nor a pid and selects nothing", "give it selectors")
