"""Printing a plan, or what became of it, in the form that was asked for; and what the exit status says of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from gthulhu_reconcile.applying.outcomes import PushResult
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.names import PROGRAM
from gthulhu_reconcile.cli.rendering import github, junit
from gthulhu_reconcile.cli.rendering import plan as drawing
from gthulhu_reconcile.cli.rendering.diagnostics import tie_findings
from gthulhu_reconcile.cli.rendering.push import applied_line, pushed
from gthulhu_reconcile.cli.session import Session
from gthulhu_reconcile.errors import UserError
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


def approval(given: Mapping[str, object], plan_id: str) -> str:
    """The command that plans from the same sources and releases the hold of this plan."""
    words = [PROGRAM, "apply"]
    for name, option in _REPEATED.items():
        match given.get(name):
            case True:
                words.append(option)
            case str(value):
                words += [option, value]
            case tuple(values):
                words += [word for value in values for word in (option, str(value))]
    return shlex.join([*words, "--approve", plan_id])


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


def show_refusal(session: Session, error: UserError) -> Exit:
    """Print the findings that kept a plan from being made, in a form that machines asked for.

    Raises:
        UserError: the form has no place for them, so that they are told as every error is.
    """
    match session.output:
        case Output.GITHUB:
            for line in github.diagnostics(error.diagnostics):
                session.terminal.data(line)
        case Output.JUNIT:
            session.terminal.data(junit.document([junit.files([], error.diagnostics)]))
        case _:
            raise error
    session.terminal.note(f"error: {error}")
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


def show_pass_json(session: Session, planned: Plan, result: PushResult | None, ended: Result, *, approval: str) -> None:
    """Print a pass for machines; people get the two lines that count on standard error."""
    session.terminal.json(pass_json(planned, result, ended))
    session.terminal.note(drawing.summary_line(planned))
    if result is not None:
        session.terminal.note(applied_line(result))
    if planned.held is not None:
        session.terminal.note(f"held: {planned.held.message}; {approval}")


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
