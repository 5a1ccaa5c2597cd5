"""Printing a plan, or what became of it, in the form that was asked for; and what the exit status says of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from gthulhu_reconcile.applying.outcomes import PushResult
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.names import PROGRAM
from gthulhu_reconcile.cli.rendering import github, junit, push_checks
from gthulhu_reconcile.cli.rendering import plan as drawing
from gthulhu_reconcile.cli.rendering.diagnostics import in_order, tie_findings
from gthulhu_reconcile.cli.rendering.push import applied_line, pushed
from gthulhu_reconcile.cli.rendering.words import visible
from gthulhu_reconcile.cli.session import Session
from gthulhu_reconcile.errors import StalePlan, UsageError, UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.plan_document import plan_to_json
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.settings import Output

STATUSES = {Result.ERROR: Exit.ERROR, Result.PARTIAL: Exit.ERROR, Result.HELD: Exit.HELD}

_REPEATED = {
    "config": "--config",
    "policies": "--policies",
    "pods": "--pods",
    "agents": "--agents",
    "secret_file": "--secret-file",
    "node": "--node",
    "owner": "--owner",
    "adopt": "--adopt",
}
_REPEATED_FOR_SAVED = ("config", "agents", "secret_file", "owner")
"""What a saved plan is not told by itself: where the agents are, and who we are to them."""


def approval(given: Mapping[str, object], plan_id: str) -> str:
    """The command that plans from the same sources and releases the hold of this plan."""
    return shlex.join([PROGRAM, "apply", *_repeat(given, _REPEATED), "--approve", plan_id])


def saved_apply(given: Mapping[str, object], file: str, *, approve: str = "") -> str:
    """The command that applies the plan saved in ``file``, and releases its hold where ``approve`` is its identity."""
    options = [*_repeat(given, _REPEATED_FOR_SAVED), *(["--approve", approve] if approve else [])]
    return shlex.join([PROGRAM, "apply", *options, *(["--"] if file.startswith("-") else []), file])


def _repeat(given: Mapping[str, object], names: Iterable[str]) -> list[str]:
    words: list[str] = []
    for name in names:
        option = _REPEATED[name]
        match given.get(name):
            case True:
                words.append(option)
            case str(value):
                words += [option, value]
            case tuple(values):
                words += [word for value in values for word in (option, str(value))]
    return words


def tell_strange_approval(session: Session, planned: Plan) -> None:
    """Say where what is approved is another plan: somebody approved what they saw, and this is not it."""
    approved = session.settings.approve
    if approved is None or approved == planned.id:
        return
    stands = "this plan stays held" if planned.held is not None else "nothing holds this plan"
    session.terminal.note(
        f"warning: --approve: {visible(approved)} is another plan's id; this plan is {planned.id}, and {stands}"
    )


def show_plan(
    session: Session,
    planned: Plan,
    *,
    approval: str,
    found: Sequence[Diagnostic] = (),
    policies: Sequence[Policy] = (),
) -> None:
    """Print a plan, and judge what was found.

    ``approval`` is the command that releases its hold. ``found``, what is wrong with its inputs, goes to standard
    error, or into the form that has a place for it. ``policies`` are for the lines of those that are tied.
    """
    terminal = session.terminal
    ties = tie_findings(planned.ties, policies)
    match session.output:
        case Output.JSON:
            session.report((*found, *ties))
            terminal.json(plan_to_json(planned))
            terminal.note(drawing.summary_line(planned))
        case Output.GITHUB:
            session.judge((*found, *ties))
            for line in github.plan(planned, (*found, *ties)):
                terminal.data(line)
            terminal.note(drawing.summary_line(planned))
        case Output.JUNIT:
            session.judge((*found, *ties))
            terminal.data(junit.document([junit.files([], (*found, *ties)), junit.plan(planned)]))
            terminal.note(drawing.summary_line(planned))
        case Output.TEXT:
            session.report(found)
            session.judge(ties)
            for block in drawing.plan(planned, approve=approval, ties=ties):
                terminal.show(block)


def show_refusal(session: Session, error: UserError | StalePlan) -> Exit:
    """Print the findings that kept a plan from being made or pushed, in a form that machines asked for.

    Raises:
        UserError, StalePlan: the form has no place for them, so that they are told as every error is.
    """
    terminal, found = session.terminal, in_order(error.diagnostics if isinstance(error, UserError) else ())
    if isinstance(error, UsageError):
        raise error
    match session.output:
        case Output.JSON if found:
            terminal.json([each.as_json() for each in found])
        case Output.GITHUB:
            for line in github.diagnostics(found) or [github.annotation("error", str(error))]:
                terminal.data(line)
        case Output.JUNIT:
            # Without a finding there would be no failure, and a report without one reads as success.
            failed = junit.Suite("plan", (junit.Case("plan", (("error", str(error), ""),)),))
            terminal.data(junit.document([junit.files([], found) if found else failed]))
        case _:
            raise error
    terminal.note(f"error: {error}")
    return Exit.ERROR


def show_push(session: Session, result: PushResult) -> None:
    """Print what became of a push, for people."""
    session.terminal.show(pushed(result))


def earn_plan(session: Session, planned: Plan, silent: Sequence[str]) -> None:
    """Earn what a plan that is only looked at means."""
    if planned.held is not None:
        session.earn(Exit.HELD)
    if silent:
        session.earn(Exit.ERROR)
    if session.settings.detailed_exitcode and (planned.changes or planned.changed_nodes):
        session.earn(Exit.CHANGES)


def show_pass(
    session: Session,
    planned: Plan,
    result: PushResult | None,
    ended: Result,
    *,
    approval: str,
    found: Sequence[Diagnostic] = (),
    policies: Sequence[Policy] = (),
) -> None:
    """Print a pass for machines, and judge what was found; people get the lines that count on standard error.

    Arguments are as of :func:`show_plan`. JSON has no place for ``found``, which goes to standard error there.
    """
    terminal = session.terminal
    told = (*found, *tie_findings(planned.ties, policies))
    match session.output:
        case Output.GITHUB:
            session.judge(told)
            for line in (
                *github.plan(planned, told),
                *(push_checks.github_lines(result) if result is not None else ()),
            ):
                terminal.data(line)
        case Output.JUNIT:
            session.judge(told)
            suites = [junit.files([], told), junit.plan(planned)]
            terminal.data(junit.document([*suites, *([push_checks.suite(result)] if result is not None else [])]))
        case _:
            session.report(told)
            terminal.json(pass_json(planned, result, ended))
    terminal.note(drawing.summary_line(planned))
    if result is not None:
        terminal.note(applied_line(result))
    if planned.held is not None:
        terminal.note(f"held: {planned.held.message}; {approval}")


def pass_json(planned: Plan, pushed_: PushResult | None, result: Result) -> dict[str, object]:
    """What ``apply -o json`` and the bare command print; keys are only added to."""
    return {
        "formatVersion": "1.0",
        "result": result.value,
        "plan": plan_to_json(planned),
        "nodes": []
        if pushed_ is None
        else [
            {
                "node": node.node,
                "outcome": node.outcome.value,
                "generation": node.generation,
                "digest": node.digest,
                "reason": node.reason,
                "tries": node.tries,
            }
            for node in pushed_.nodes
        ],
    }
