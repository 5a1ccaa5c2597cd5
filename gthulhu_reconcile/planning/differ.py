"""What has to change on one node, and why.

The difference is taken to what the agent has accepted, never to what was sent. Beside the changes it says what the
guards need to know: which pods are touched in a way that neither time nor churn explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from gthulhu_reconcile.model.plan import Action, Change, Reason
from gthulhu_reconcile.model.pods import Pod
from gthulhu_reconcile.model.policy import Candidate, PolicyKind, Standing
from gthulhu_reconcile.planning.admitting import refused_for_nodes, refused_for_pods
from gthulhu_reconcile.planning.observed import Shape
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.resolving import Resolution
from gthulhu_reconcile.planning.shadowing import node_shadowers, pod_shadowers
from gthulhu_wire.intents import Intent, OnDelete, PolicyRef, Terms

NODE_ITSELF = ""
"""Stands for the node among uids of pods, as in :attr:`Intent.key`."""

_ORDER = attrgetter("order")
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """What differs on one node.

    Attributes:
        changes: in wire order of the intent.
        unchanged: intents that stay as they are.
        touched: pods that still run (or :data:`NODE_ITSELF`) of which an intent is updated or deleted for another
            reason than time, churn or a moved file.
        abandoned: those of which an intent goes away for such a reason, whatever becomes of their threads.
    """

    changes: tuple[Change, ...]
    unchanged: int
    touched: frozenset[str] = frozenset()
    abandoned: frozenset[str] = frozenset()


class Differ:
    """Takes differences to one resolution."""

    def __init__(self, resolution: Resolution, options: Options) -> None:
        self._resolution = resolution
        self._options = options
        self._candidates = resolution.rules.candidates
        self._lines: dict[int, int] = {}
        self._terms: dict[tuple[int, int], Reason | None] = {}

    def difference(self, node: str, before: Sequence[Intent], after: Sequence[Intent]) -> NodeDifference:
        """From ``before`` to ``after``, both in wire order."""
        if not before:
            return NodeDifference(tuple([self._add(node, intent) for intent in after]), 0)
        return _OneNode(self, node, before, after).difference()

    def _add(self, node: str, intent: Intent) -> Change:
        terms = intent.terms
        return Change(Action.ADD, node, intent.pod, terms.policy, self.line(intent), None, intent, Reason.NEW_MATCH)

    def line(self, intent: Intent) -> int:
        """Where the policy of ``intent`` begins; 0 where there is none any more."""
        terms = intent.terms
        line = self._lines.get(id(terms))
        if line is None:
            candidate = self.candidate(intent)
            line = self._lines[id(terms)] = 0 if candidate is None else candidate.policy.line
        return line

    def candidate(self, intent: Intent) -> Candidate | None:
        """The policy that ``intent`` came from, as it is now."""
        kind = PolicyKind.NODE if intent.pod is None else PolicyKind.SCHEDULING
        return self._candidates.get((kind, intent.terms.policy.namespace, intent.terms.policy.name))

    def terms_changed(self, before: Terms, after: Terms) -> Reason | None:
        """What differs between the terms of one policy; None where nothing does."""
        if before is after:
            return None
        pair = (id(before), id(after))
        if pair not in self._terms:
            self._terms[pair] = _terms_changed(before, after)
        return self._terms[pair]

    def pods(self, node: str) -> Mapping[str, tuple[Pod, Shape]]:
        """Pods that are planned on ``node``, by uid."""
        return self._resolution.observed.on_node(node).by_uid()

    def why_gone(self, node: str, intent: Intent, shape: Shape | None) -> tuple[Reason, bool]:
        """Why ``intent`` is wanted no more, and whether time alone explains it."""
        candidate = self.candidate(intent)
        if candidate is None:
            return Reason.POLICY_REMOVED, False
        if candidate.standing is not Standing.ACTIVE:
            inactive = candidate.standing is Standing.INACTIVE
            return (Reason.POLICY_INACTIVE if inactive else Reason.POLICY_SUSPENDED), True
        by = self._shadower(node, shape, intent.terms.policy)
        if by is not None:
            kind = candidate.policy.kind
            stronger = self._candidates.get((kind, by.namespace, by.name))
            return Reason.SHADOWED, stronger is not None and stronger.policy.suspension is not None
        policy = candidate.policy
        refused = (
            refused_for_nodes(policy, self._options)
            if intent.pod is None
            else refused_for_pods(policy, intent.pod.namespace, self._options)
        )
        return (Reason.NO_LONGER_SELECTED if refused is None else Reason.NOT_ALLOWED), False

    def _shadower(self, node: str, shape: Shape | None, policy: PolicyRef) -> PolicyRef | None:
        rules, node_class = self._resolution.rules, self._resolution.node_class(node)
        if shape is None:
            entries = rules.node_ranking(node_class).selecting
            shadowers = node_shadowers(entries)
        else:
            entries = rules.pod_rankings([shape], node_class)[0].selecting
            shadowers = pod_shadowers(entries)
        for entry, by in zip(entries, shadowers, strict=True):
            found = entry.terms.policy
            if found.name == policy.name and found.namespace == policy.namespace:
                return by
        return None


class _OneNode:
    """The difference on one node while it is being worked out."""

    def __init__(self, differ: Differ, node: str, before: Sequence[Intent], after: Sequence[Intent]) -> None:
        self._differ = differ
        self._node = node
        self._before = {intent.key: intent for intent in before}
        self._after = {intent.key: intent for intent in after}
        self._pods = differ.pods(node)
        self._changes: list[Change] = []
        self._touched: set[str] = set()
        self._abandoned: set[str] = set()
        self._moved_rank: set[str] = set()

    def difference(self) -> NodeDifference:
        unchanged = 0
        for key, intent in self._after.items():
            before = self._before.get(key)
            if before is None:
                self._note(Action.ADD, None, intent, Reason.NEW_MATCH)
            elif not self._update(key[0], before, intent):
                unchanged += 1
        for key, intent in self._before.items():
            if key not in self._after:
                self._remove(key[0], intent)
        self._touched.update(self._reordered())
        self._changes.sort(key=lambda change: _ORDER(change.after or change.before))
        return NodeDifference(tuple(self._changes), unchanged, frozenset(self._touched), frozenset(self._abandoned))

    def _note(self, action: Action, before: Intent | None, after: Intent | None, reason: Reason) -> None:
        for intent in (after, before):
            if intent is not None:
                policy, line = intent.terms.policy, self._differ.line(intent)
                self._changes.append(Change(action, self._node, intent.pod, policy, line, before, after, reason))
                return

    def _update(self, uid: str, before: Intent, after: Intent) -> bool:
        reason = self._differ.terms_changed(before.terms, after.terms)
        if before.rank != after.rank:
            self._moved_rank.add(uid)
        if reason is Reason.TERMS_CHANGED:
            self._touched.add(uid)
        elif before.containers != after.containers:
            reason = Reason.CONTAINERS_CHANGED
            if self._is_edit(uid, before, after):
                self._touched.add(uid)
        elif before.rank != after.rank:
            reason = Reason.RANK_CHANGED
        elif before.pod != after.pod:
            reason = reason or Reason.MOVED
        if reason is None:
            return False
        self._note(Action.UPDATE, before, after, reason)
        return True

    def _is_edit(self, uid: str, before: Intent, after: Intent) -> bool:
        """Whether a running container is let go of; a restarted one has another id, which is churn."""
        if before.containers is None or after.containers is None:
            return True
        running = {container.id for container in self._pods[uid][0].containers}
        return any(container in running for container in before.containers if container not in after.containers)

    def _remove(self, uid: str, before: Intent) -> None:
        if uid != NODE_ITSELF and uid not in self._pods:
            self._note(Action.FORGET, before, None, Reason.POD_GONE)
            return
        shape = None if uid == NODE_ITSELF else self._pods[uid][1]
        reason, by_time = self._differ.why_gone(self._node, before, shape)
        if not by_time:
            self._abandoned.add(uid)
        if before.terms.on_delete is OnDelete.ORPHAN:
            self._note(Action.FORGET, before, None, Reason.ORPHANED)
            return
        if not by_time:
            self._touched.add(uid)
        self._note(Action.DELETE, before, None, reason)

    def _reordered(self) -> set[str]:
        """Pods whose remaining intents changed places among each other.

        An intent that only moves up or down because others came or went is not touched: adds never count, and a
        delete counts by itself.
        """
        if not self._moved_rank:
            return set()
        old = self._places(self._before, self._after)
        new = self._places(self._after, self._before)
        return {uid for uid in self._moved_rank if old[uid] != new[uid]}

    def _places(self, intents: Mapping[_Key, Intent], kept: Mapping[_Key, Intent]) -> dict[str, list[tuple[str, str]]]:
        places: dict[str, list[tuple[str, str]]] = {}
        for key in intents:
            if key[0] in self._moved_rank and key in kept:
                places.setdefault(key[0], []).append((key[1], key[2]))
        return places


def _terms_changed(before: Terms, after: Terms) -> Reason | None:
    if before == after:
        return None
    if replace(before, policy=after.policy, ends_at=after.ends_at) != after:
        return Reason.TERMS_CHANGED
    return Reason.WINDOW_CHANGED if before.ends_at != after.ends_at else Reason.MOVED
