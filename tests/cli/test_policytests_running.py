"""Policy tests cannot pass by accident."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from syrupy.assertion import SnapshotAssertion

from gthulhu_reconcile.cli.policytests.documents import ExpectedSchedule
from gthulhu_reconcile.cli.policytests.running import CaseResult, Expected, Report, coverage_line, run_case
from gthulhu_reconcile.cli.rendering import junit, policytests
from gthulhu_reconcile.model.diagnostics import Span
from gthulhu_reconcile.model.plan import Considered, Explanation, Verdict
from gthulhu_reconcile.model.policy import Policy, PolicyKind, Selector
from gthulhu_wire.intents import PodRef, PolicyRef, Schedule

SPAN = Span("policy-tests/web.test.yaml", 9, 9, 40)
WEB = PodRef("web", "frontend-0", "u-1")


def policy(name: str, **selector: object) -> Policy:
    ref = PolicyRef("default", name, "policies/web.yaml")
    wanted = Schedule(priority=5, time_slice_ns=5_000_000)
    return Policy(PolicyKind.SCHEDULING, ref, 3, 0, Selector(**selector), wanted)  # type: ignore[arg-type]  # free keywords


STRONG = policy("strong", command="^nginx$")
WEAK = policy("weak")
LOST = policy("lost")


def explained(*considered: Considered, pod: PodRef | None = WEB) -> Explanation:
    return Explanation(pod, "worker-1", considered)


USUAL = explained(
    Considered(STRONG, Verdict.WINS, rank=0),
    Considered(WEAK, Verdict.WINS, rank=1),
    Considered(LOST, Verdict.LABELS, detail="app=web"),
)


def run(expected: Expected, explanations: Sequence[Explanation] = (USUAL,)) -> CaseResult:
    return run_case("web.test.yaml", "case", [expected], explanations, [STRONG, WEAK, LOST], names=["web/frontend-0"])


def expect(winner: str, **more: object) -> Expected:
    return replace(Expected(SPAN, "web/frontend-0", "", winner), **more)  # type: ignore[arg-type]  # free keywords


def messages(result: CaseResult) -> list[str]:
    return [failure.message for failure in result.failures]


def test_the_first_in_rank_wins() -> None:
    assert not run(expect("strong")).failures
    assert messages(run(expect("weak"))) == ["strong wins on pod web/frontend-0; expected weak"]


def test_a_command_decides_who_wins_a_thread() -> None:
    assert not run(expect("strong", command="nginx")).failures
    assert not run(expect("weak", command="sh")).failures


def test_a_container_decides_who_wins_in_it() -> None:
    inside = replace(STRONG, selector=Selector(containers=("app",)))
    explanations = [explained(Considered(inside, Verdict.WINS, rank=0), Considered(WEAK, Verdict.WINS, rank=1))]
    assert not run(expect("strong", container="app"), explanations).failures
    assert not run(expect("weak", container="sidecar"), explanations).failures


def test_none_is_a_winner_of_its_own() -> None:
    assert messages(run(expect("none"))) == ["strong wins on pod web/frontend-0; expected none"]
    nothing = explained(Considered(LOST, Verdict.LABELS))
    assert not run(expect("none"), [nothing]).failures
    assert messages(run(expect("weak"), [nothing])) == ["no policy wins on pod web/frontend-0; expected weak"]


def test_a_failure_says_what_the_expected_policy_lost_by() -> None:
    (failure,) = run(expect("lost")).failures
    assert failure.hint == "default/lost lost by labels: app=web"
    (failure,) = run(expect("weak")).failures
    assert failure.hint == "default/weak has rank 1"


def test_an_expectation_that_matches_no_pod_fails() -> None:
    (failure,) = run(expect("none", pod="web/frontend-1")).failures
    assert failure.message == "pod 'web/frontend-1' is not in the snapshot"
    assert failure.hint == "did you mean 'web/frontend-0'?"


def test_a_glob_has_to_hold_for_every_pod() -> None:
    other = explained(Considered(WEAK, Verdict.WINS, rank=0), pod=PodRef("web", "frontend-1", "u-2"))
    result = run(expect("strong", pod="web/*"), [USUAL, other])
    assert messages(result) == ["weak wins on pod web/frontend-1; expected strong"]
    assert result.checked == 2


def test_a_policy_that_is_not_there_fails_even_where_nobody_wins() -> None:
    result = run(expect("wek"), [explained()])
    assert messages(result)[0] == "there is no policy 'wek'"
    assert result.failures[0].hint == "did you mean 'default/weak'?"


def test_the_whole_ranking_can_be_expected() -> None:
    assert not run(expect("strong", ranked=("strong", "weak"))).failures
    assert messages(run(expect("strong", ranked=("strong",)))) == [
        "pod web/frontend-0 is sent default/strong, default/weak; expected strong"
    ]


def test_only_the_given_parts_of_a_schedule_are_compared() -> None:
    assert not run(expect("strong", schedule=ExpectedSchedule(timeSlice="5000us"))).failures
    wrong = ExpectedSchedule(priority=6, preempt=True)
    assert messages(run(expect("strong", schedule=wrong))) == [
        "priority of pod web/frontend-0 is 5; expected 6",
        "preempt of pod web/frontend-0 is false; expected true",
    ]


def test_a_node_is_looked_at_by_itself() -> None:
    node = explained(Considered(WEAK, Verdict.WINS, rank=0), pod=None)
    result = run(Expected(SPAN, "", "worker-*", "weak"), [USUAL, node])
    assert not result.failures
    assert result.checked == 1


def test_a_policy_counts_as_exercised_only_where_an_expectation_met_it() -> None:
    elsewhere = explained(Considered(LOST, Verdict.WINS, rank=0), pod=PodRef("web", "other", "u-2"))
    result = run(expect("strong"), [USUAL, elsewhere])
    report = Report((result,), (STRONG, WEAK, LOST))
    assert [policy.ref.name for policy in report.unexercised] == ["lost"]
    assert coverage_line(report) == "2/3 policies exercised"
    assert not report.passed


def test_a_shadowed_policy_was_exercised() -> None:
    shadowed = explained(Considered(WEAK, Verdict.WINS, rank=0), Considered(STRONG, Verdict.SHADOWED))
    assert run(expect("weak"), [shadowed]).exercised == {WEAK.ref, STRONG.ref}


def test_nothing_tested_is_not_passed() -> None:
    assert not Report((), ()).passed


def failing_report() -> Report:
    good = run(expect("strong"))
    bad = replace(run(expect("lost")), name="the lost one wins")
    return Report((good, bad), (STRONG, WEAK, LOST))


def test_results_as_text(golden: SnapshotAssertion, drawn: Callable[..., str]) -> None:
    assert drawn(policytests.results(failing_report())) == golden


def test_results_as_junit(golden: SnapshotAssertion) -> None:
    assert junit.document(policytests.suites(failing_report())) == golden


def test_results_as_annotations(golden: SnapshotAssertion) -> None:
    assert "\n".join(policytests.github_lines(failing_report())) + "\n" == golden


def test_results_as_json() -> None:
    document = policytests.as_json(failing_report())
    assert document["passed"] is False
    assert document["summary"] == {"cases": 2, "failed": 1, "policies": 3, "exercised": 2}
