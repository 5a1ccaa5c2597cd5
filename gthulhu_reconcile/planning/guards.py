"""What stops a plan until a person has looked at it. Inside the planner, so that nothing goes around it.

Counted are pods that still run and that are updated or deleted for a reason that is neither churn nor time: not adds,
not pods that went, not containers that were restarted, not a policy whose window or suspension begins or ends (that
was asked for when the policy was written), not a file that was moved. Nodes are counted apart from pods, each against
its own kind: a node policy reaches the whole host, and among thousands of pods ten hosts would not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gthulhu_reconcile.model.plan import Action, Guard, Hold, Reason
from gthulhu_reconcile.planning.differ import NODE_ITSELF, NodeDifference
from gthulhu_reconcile.planning.options import Options

Managed = Callable[[], tuple[int, int]]
"""Counts the pods that still run, and the nodes, of which agents hold intents. Called where it matters only."""


def unreadable(options: Options) -> Hold | None:
    """The hold of a plan that was made without all of its input."""
    if not options.unreadable:
        return None
    return Hold(
        Guard.UNREADABLE_INPUT,
        f"could not be read in full: {', '.join(options.unreadable)}; what was not read is not known to be gone, "
        "so nothing changes",
    )


def hold(
    differences: Mapping[str, NodeDifference], desired_count: int, pod_count: int, managed: Managed, options: Options
) -> Hold | None:
    """The guard that stops these differences, the graver first; None where none does."""
    return _no_pods(differences, pod_count) or (
        _empty(differences, managed) if desired_count == 0 else _mass_change(differences, managed, options)
    )


def _no_pods(differences: Mapping[str, NodeDifference], pod_count: int) -> Hold | None:
    """An empty list of pods is what a source gives that looks at the wrong cluster.

    It would read as churn; but a node whose pods do run puts the threads of an intent back when the intent is gone.
    """
    forgotten = sum(
        change.action is Action.FORGET and change.reason is Reason.POD_GONE
        for found in differences.values()
        for change in found.changes
    )
    if pod_count or not forgotten:
        return None
    return Hold(Guard.EMPTY_DESIRED, f"no pod at all was observed, while agents hold {forgotten} intents of pods")


def _empty(differences: Mapping[str, NodeDifference], managed: Managed) -> Hold | None:
    if not any(found.abandoned for found in differences.values()):
        return None
    pods, nodes = managed()
    return Hold(
        Guard.EMPTY_DESIRED,
        f"nothing is wanted any more on any planned node, while agents hold intents of {_count(pods, nodes)}",
    )


def _mass_change(differences: Mapping[str, NodeDifference], managed: Managed, options: Options) -> Hold | None:
    nodes_touched = sum(NODE_ITSELF in found.touched for found in differences.values())
    pods_touched = sum(len(found.touched) for found in differences.values()) - nodes_touched
    if max(pods_touched, nodes_touched) <= options.mass_floor:
        return None
    pods, nodes = managed()
    for what, touched, total in (("running pods", pods_touched, pods), ("nodes", nodes_touched, nodes)):
        limit = max(options.mass_floor, options.mass_fraction * total)
        if touched > limit:
            return Hold(
                Guard.MASS_CHANGE,
                f"{touched} of {total} managed {what} would be updated or deleted; the limit is {int(limit)}",
            )
    return None


def _count(pods: int, nodes: int) -> str:
    parts = [f"{number} {what}" for number, what in ((pods, "running pods"), (nodes, "nodes")) if number]
    return " and ".join(parts)
