"""A plan back from its JSON: the public form, and the intents that a saved plan has beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from gthulhu_reconcile.model.accepted import Accepted, Unreachable
from gthulhu_reconcile.model.plan import Action, Change, Guard, Hold, Plan, Reason, Summary, Tie
from gthulhu_wire.documents import WireError, read_intent
from gthulhu_wire.intents import Intent, PodRef, PolicyRef, Terms, digest

Json = Mapping[str, Any]


def plan_from_json(plan: Json, desired: Json, bases: Json) -> Plan:
    """The plan that was saved.

    Raises:
        WireError: an intent breaks the contract.
        KeyError, TypeError, ValueError, AttributeError: something else does.
    """
    shared: dict[str, Terms] = {}
    wanted = {node: _intents(rows, f"desired.{node}", shared) for node, rows in desired.items()}
    held = {node: _base(node, body, shared) for node, body in bases.items()}
    digests = {str(node): str(value) for node, value in plan["digests"].items()}
    for node, intents in wanted.items():
        if digest(intents) != digests[node]:
            raise WireError(f"desired.{node}", "is not what the plan's digest says")
    found = Plan(
        id=str(plan["id"]),
        summary=_summary(plan["summary"]),
        changes=_changes(plan["changes"], held, wanted),
        bases=MappingProxyType(held),
        desired=MappingProxyType(wanted),
        digests=MappingProxyType(digests),
        unreachable=tuple(Unreachable(row["node"], row["reason"]) for row in plan["unreachable"]),
        ties=tuple(_tie(row) for row in plan.get("ties", ())),
        held=None if plan["held"] is None else Hold(Guard(plan["held"]["guard"]), str(plan["held"]["message"])),
        adopted=tuple(plan.get("adopted", ())),
    )
    for node in found.changed_nodes:
        if node not in wanted or node not in held:
            raise WireError(f"desired.{node}", "is missing")
    return found


def _summary(row: Json) -> Summary:
    # Keys may be added within a format version; a plan from a later program is still this one's to apply.
    return Summary(**{field.name: int(row[field.name]) for field in fields(Summary)})


def _intents(rows: Iterable[object], path: str, shared: dict[str, Terms]) -> tuple[Intent, ...]:
    return tuple(read_intent(row, f"{path}[{number}]", shared) for number, row in enumerate(rows))


def _base(node: str, body: Json, shared: dict[str, Terms]) -> Accepted:
    return Accepted(
        node=node,
        owner=str(body["owner"]),
        token=int(body["token"]),
        generation=int(body["generation"]),
        digest=str(body["digest"]),
        intents=_intents(body["intents"], f"bases.{node}", shared),
    )


def _changes(
    rows: Iterable[Json], held: Mapping[str, Accepted], wanted: Mapping[str, tuple[Intent, ...]]
) -> tuple[Change, ...]:
    before = {(node, intent.key): intent for node, base in held.items() for intent in base.intents}
    after = {(node, intent.key): intent for node, intents in wanted.items() for intent in intents}
    changes = []
    for row in rows:
        action = Action(row["action"])
        policy = PolicyRef(row["policy"]["namespace"], row["policy"]["name"], row["policy"]["source"])
        pod = _pod(row["pod"])
        key = (row["node"], ("" if pod is None else pod.uid, policy.namespace, policy.name))
        changes.append(
            Change(
                action=action,
                node=row["node"],
                pod=pod,
                policy=policy,
                line=int(row["policy"]["line"]),
                before=None if action is Action.ADD else before[key],
                after=after[key] if action in (Action.ADD, Action.UPDATE) else None,
                reason=Reason(row["reason"]),
            )
        )
    return tuple(changes)


def _pod(row: Json | None) -> PodRef | None:
    return None if row is None else PodRef(row["namespace"], row["name"], row["uid"])


def _tie(row: Json) -> Tie:
    pods = tuple(pod for entry in row["pods"] if (pod := _pod(entry)) is not None)
    return Tie(_policy(row["winner"]), _policy(row["loser"]), pods, int(row["count"]))


def _policy(row: Json) -> PolicyRef:
    return PolicyRef(row["namespace"], row["name"], row.get("source", ""))
