"""What became of a push as continuous integration reads it: annotations of GitHub, cases of JUnit."""

from __future__ import annotations

from gthulhu_reconcile.applying.outcomes import NodeOutcome, PushResult
from gthulhu_reconcile.cli.rendering.github import annotation
from gthulhu_reconcile.cli.rendering.junit import Case, Suite
from gthulhu_reconcile.cli.rendering.push import OUTCOMES, applied_line


def github_lines(result: PushResult) -> list[str]:
    """An error for each node that does not hold its set, and the line that counts."""
    failures = [annotation("error", _failure(node), title="node not applied") for node in result.failed]
    return [*failures, annotation("notice", applied_line(result), title="apply")]


def suite(result: PushResult) -> Suite:
    """A case for each node that was to be told something, which fails where it does not hold its set."""
    return Suite("apply", tuple(_case(node) for node in result.nodes))


def _case(node: NodeOutcome) -> Case:
    name = f"node {node.node}"
    if node.outcome.good:
        return Case(name, (), f"{OUTCOMES[node.outcome]}, generation {node.generation}")
    return Case(name, ((node.outcome.value, _failure(node), ""),))


def _failure(node: NodeOutcome) -> str:
    what = f"{node.node}: {OUTCOMES[node.outcome]}"
    return f"{what}: {node.reason}" if node.reason else what
