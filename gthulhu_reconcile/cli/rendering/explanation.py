"""Why a pod runs as it does: who wins, who loses, and what each lost by."""

from __future__ import annotations

from rich.text import Text

from gthulhu_reconcile.cli.rendering.columns import columns
from gthulhu_reconcile.cli.rendering.words import VERDICTS, count, duration, place, pod_name, policy_name, visible
from gthulhu_reconcile.model.plan import Considered, Explanation, Verdict
from gthulhu_reconcile.model.policy import Policy


def explanation(explained: Explanation) -> Text:
    """One line for each policy: the verdict, the name, its precedence, what it asks for or lost by, its place."""
    text = _target(explained)
    if not explained.considered:
        return text.append("There is no policy.\n")
    if not any(each.verdict is Verdict.WINS for each in explained.considered):
        text.append("No policy applies: it runs as the kernel's defaults have it.\n\n", style="yellow")
    shown = [each for each in explained.considered if each.verdict is not Verdict.OTHER_KIND]
    for line in columns([_row(each) for each in shown]):
        text.append_text(line).append("\n")
    others = len(explained.considered) - len(shown)
    if others:
        kind = "nodes" if explained.pod is not None else "pods"
        are = f"{count(others, 'policy is', 'policies are')} for {kind} and cannot apply here"
        text.append(f"({are})\n", style="dim")
    return text


def asked(policy: Policy) -> str:
    """What a policy asks for, in one line."""
    wanted = policy.schedule
    parts = [f"priority {wanted.priority}"] if wanted.priority else []
    parts += [f"timeSlice {duration(wanted.time_slice_ns)}"] if wanted.time_slice_ns is not None else []
    parts += ["preempt"] if wanted.preempt else []
    selector = policy.selector
    what = ", ".join(parts) or "the kernel's defaults"
    if selector.command is not None:
        what += f' for "{visible(selector.command)}" on {selector.command_on}'
    if selector.containers:
        what += f" in {', '.join(map(visible, selector.containers))}"
    return what


def _target(explained: Explanation) -> Text:
    text = Text()
    if explained.pod is None:
        return text.append("node ").append(visible(explained.node), style="bold").append("\n\n")
    text.append("pod ").append(pod_name(explained.pod), style="bold")
    node = f"on {visible(explained.node)}" if explained.node else "not yet on a node"
    return text.append(f" {node}, uid {visible(explained.pod.uid)}\n\n")


def _row(considered: Considered) -> tuple[Text, ...]:
    policy = considered.policy
    if considered.verdict is Verdict.WINS:
        # What no thread of the first fits goes to the next.
        verdict = Text("next" if considered.rank else "wins", style="green")
        why = Text(asked(policy))
        if considered.detail:
            why.append(f"; {visible(considered.detail)}", style="dim")
    else:
        verdict = Text("lost", style="dim")
        why = Text(loss(considered), style="dim")
    return (
        verdict,
        Text(policy_name(policy.ref), style="bold"),
        Text(f"precedence {policy.precedence}"),
        Text(place(policy.ref.source, policy.line)),
        why,
    )


def loss(considered: Considered) -> str:
    """What a policy lost by: ``labels: wants app=web; there is app=api``."""
    if not considered.detail:
        return VERDICTS[considered.verdict]
    return f"{considered.verdict}: {visible(considered.detail)}"
