"""Plans and findings to draw."""

from __future__ import annotations

from dataclasses import replace

from gthulhu_reconcile.model.accepted import DAMAGED, Accepted, Unreachable
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.model.plan import Action, Change, Guard, Hold, Plan, Reason, Summary, Tie
from gthulhu_wire.intents import EMPTY_DIGEST, Intent, OnDelete, PodRef, PolicyRef, Schedule, Terms

WEB = PolicyRef("default", "web-latency", "policies/web.yaml")
BATCH = PolicyRef("data", "batch-low", "policies/batch.yaml")
NIGHT = PolicyRef("data", "night", "policies/night.yaml")
SYSTEM = PolicyRef("default", "backup", "policies/nodes.yaml")

SHOP = PodRef("shop", "web-6d4", "11111111-1111-1111-1111-111111111111")
ETL = PodRef("data", "etl-0", "22222222-2222-2222-2222-222222222222")
GONE = PodRef("data", "etl-9", "33333333-3333-3333-3333-333333333333")

SLOW = Terms(WEB, Schedule(priority=0, time_slice_ns=5_000_000), command="^nginx$")
FAST = Terms(WEB, Schedule(priority=20, time_slice_ns=2_000_000), command="^nginx$")
LOW = Terms(BATCH, Schedule(priority=-5, time_slice_ns=20_000_000), on_delete=OnDelete.ORPHAN)
BACKUP = Terms(SYSTEM, Schedule(priority=-10), units=("backup-*.service",))
WINDOW = Terms(NIGHT, Schedule(priority=3, preempt=True), ends_at=1_800_000_000)


def update() -> Change:
    """A policy that asks for more."""
    before, after = Intent(SLOW, 0, SHOP), Intent(FAST, 0, SHOP)
    return Change(Action.UPDATE, "worker-07", SHOP, WEB, 3, before, after, Reason.TERMS_CHANGED)


def changes() -> tuple[Change, ...]:
    """One of each sign."""
    node = Intent(BACKUP, 0)
    new = Intent(WINDOW, 0, ETL, ("0123456789abcdef" * 4,))
    old = Intent(LOW, 1, ETL)
    return (
        Change(Action.ADD, "worker-07", None, SYSTEM, 1, None, node, Reason.NEW_MATCH),
        Change(Action.ADD, "worker-07", ETL, NIGHT, 8, None, new, Reason.NEW_MATCH),
        Change(Action.DELETE, "worker-07", ETL, BATCH, 0, old, None, Reason.POLICY_REMOVED),
        update(),
        Change(Action.FORGET, "worker-08", GONE, BATCH, 1, Intent(LOW, 0, GONE), None, Reason.POD_GONE),
    )


def plan(
    changed: tuple[Change, ...] | None = None,
    *,
    held: Hold | None = None,
    unreachable: tuple[Unreachable, ...] = (),
    ties: tuple[Tie, ...] = (),
    adopted: tuple[str, ...] = (),
) -> Plan:
    """A plan of three nodes around ``changed``."""
    changed = changes() if changed is None else changed
    nodes = ("worker-07", "worker-08", "worker-09")
    touched = {change.node for change in changed}
    counts = {action.value: sum(change.action is action for change in changed) for action in Action}
    return Plan(
        id="4f1c2aa0b9d3",
        summary=Summary(**counts, unchanged=235, pods=260, matched=238),
        changes=changed,
        bases={node: Accepted(node, "prod", 1, 4) for node in nodes},
        desired=dict.fromkeys(nodes, ()),
        digests={node: "ab" * 32 if node in touched else EMPTY_DIGEST for node in nodes},
        unreachable=unreachable,
        ties=ties,
        held=held,
        adopted=adopted,
    )


def healing_plan() -> Plan:
    """Nothing changes, and a node lost what it had stored."""
    same = plan(())
    return replace(same, bases={**same.bases, "worker-08": Accepted("worker-08", "prod", 1, 4, DAMAGED)})


def troubled_plan() -> Plan:
    """Everything that a plan can warn about at once."""
    return plan(
        held=Hold(Guard.MASS_CHANGE, "65 of 240 managed pods would be changed or lose a policy (27 %, limit 20 %)"),
        unreachable=(
            Unreachable("worker-1", "no answer within 2s"),
            Unreachable("worker-10", "owned by staging; --adopt takes it over"),
        ),
        ties=(Tie(WEB, BATCH, (SHOP, ETL), 17),),
        adopted=("worker-09",),
    )


def unknown_key() -> Diagnostic:
    """The most frequent mistake."""
    return Diagnostic(
        Code.UNKNOWN_KEY,
        Severity.ERROR,
        Span("policies/web.yaml", 14, 5, 12),
        "'priorty' is not allowed here",
        hint="allowed are active, preempt, priority, timeSlice",
        suggestion="priority",
        pointer="/spec/schedule/priorty",
        snippet=((13, "  schedule:"), (14, "    priorty: 10"), (15, "    preempt: true")),
    )


def tie() -> Diagnostic:
    """A warning."""
    return Diagnostic(
        Code.TIE,
        Severity.WARNING,
        Span("policies/batch.yaml", 1, 1, 4),
        "nothing but their names orders 'a' and 'b'",
        hint="give one of them a higher precedence",
    )
