"""Patterns are tried together: what one of them is or does never changes what another answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, TaskId, Thread
from gthulhu_agent.enforcing.binding import Binding, CommandRule
from gthulhu_agent.enforcing.first_match import FirstMatches
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import PatternError, Patterns
from gthulhu_wire.intents import CommandOn, Schedule

BAD = ("(", "(?=x)", "\\1", "a{1001}", "x" * 513, "\ud800")
HUGE = "((((a{90}){90}){90}){90})"
"""Well-formed, and too large for any automaton."""
WIDE = r"\pL{1000}"
"""Too large as well, which no set says of it before it is compiled."""


@pytest.mark.parametrize("bad", [*BAD, HUGE, WIDE])
def test_a_pattern_that_re2_does_not_take_is_named_and_harms_no_other(bad: str) -> None:
    patterns = Patterns()
    patterns.learn(["^web", bad, "^db$"])
    with pytest.raises(PatternError):
        patterns.number(bad)
    assert patterns.matches("^web", "web-1")
    assert patterns.matches("^db$", "db")
    assert not patterns.matches("^db$", "web-1")


@pytest.mark.parametrize("bad", [*BAD, HUGE, WIDE])
def test_patterns_that_come_after_a_bad_one_are_taken_into_its_set(bad: str) -> None:
    """One that only compiling finds too large stayed in its set: the next patterns to come failed every pass."""
    patterns = Patterns()
    patterns.learn([bad, "^web"])
    patterns.learn([bad, "^web", "^db$"])
    with pytest.raises(PatternError):
        patterns.number(bad)
    assert patterns.matches("^web", "web-1")
    assert patterns.matches("^db$", "db")


def test_a_thousand_bad_patterns_leave_the_good_ones() -> None:
    patterns = Patterns()
    patterns.learn(pattern for number in range(1000) for pattern in (f"({number}", f"^good-{number}$"))
    assert patterns.matches("^good-999$", "good-999")
    assert len(patterns.matching("good-7")) == 1


def test_sets_that_do_not_fit_into_their_memory_are_halved_and_still_right() -> None:
    """RE2 brings the process down when a set is asked that did not compile."""
    wanted = [f"^{number}x{{200}}y?" for number in range(600)]
    patterns = Patterns()
    patterns.learn(wanted)
    assert any(one._halves for one in patterns._sets)
    text = "17" + "x" * 300
    assert {pattern for pattern in wanted if patterns.matches(pattern, text)} == {wanted[17]}


@dataclass
class Speechless:
    """What a set is that has run out of memory: it answers nothing, and says nothing."""

    asked: int = 0

    def Match(self, _text: bytes) -> None:  # noqa: N802 - RE2's name
        """Nothing."""
        self.asked += 1


def test_a_set_that_runs_out_of_memory_when_asked_is_not_taken_at_its_word() -> None:
    """RE2 then says that nothing matches: threads silently lost their schedule."""
    patterns = Patterns()
    patterns.learn([f"^app-{number}$" for number in range(64)])
    broken = Speechless()
    patterns._sets[0]._set = broken
    assert patterns.matches("^app-5$", "app-5")
    assert not patterns.matches("^app-5$", "app-6")
    assert broken.asked == 1


def test_a_single_pattern_whose_set_runs_out_of_memory_is_tried_the_slow_way() -> None:
    patterns = Patterns()
    patterns.learn(["^app$"])
    patterns._sets[0]._set = Speechless()
    assert patterns.matches("^app$", "app")
    assert not patterns.matches("^app$", "apple")


TEXT = st.text(st.sampled_from("ab-1\udcff\n "), max_size=12)
PATTERN = st.one_of(
    st.text(st.sampled_from("ab-1.*?+|()[]^$\\{}"), max_size=8),
    st.sampled_from(["^a", "b$", "^a.*b$", "(a|b)1", "[^a]", "", "a{2,3}", "(?i)AB", "\\bab\\b"]),
)


@given(st.lists(PATTERN, max_size=12), st.lists(TEXT, min_size=1, max_size=6))
def test_together_they_answer_what_each_answers_alone(wanted: Sequence[str], texts: Sequence[str]) -> None:
    together = Patterns()
    together.learn(wanted)
    for pattern in wanted:
        try:
            alone = re2.compile(pattern, _quiet())
        except re2.error:
            with pytest.raises(PatternError):
                together.number(pattern)
            continue
        for text in texts:
            data = text.encode(errors="surrogateescape")
            assert together.matches(pattern, text) == (alone.search(data) is not None)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def test_what_is_wanted_no_longer_is_forgotten_and_numbers_are_given_anew() -> None:
    patterns = Patterns()
    patterns.learn(f"^a{number}$" for number in range(5000))
    version = patterns.version
    patterns.learn(["^b$"])
    assert patterns.version > version
    assert len(patterns._numbers) == 1
    assert patterns.matches("^b$", "b")


def test_patterns_that_come_one_by_one_share_sets() -> None:
    patterns = Patterns()
    for number in range(500):
        assert patterns.matches(f"^a{number}$", f"a{number}")
    assert len(patterns._sets) < 12


def test_answers_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gthulhu_agent.enforcing.patterns._MAX_MATCHES", 100)
    patterns = Patterns()
    patterns.learn([".", "a", "a."])
    for number in range(300):
        patterns.matching(f"a{number}")
    assert sum(map(len, patterns._answers.values())) <= 100


def bound(rules: Sequence[CommandRule], *processes: Process) -> Binding:
    return Binding(Group(GroupKind.CONTAINER, "/kubepods/p/c", "/kubepods/p", "p", processes=processes), tuple(rules))


def process(pid: int, comm: str, *names: str, argv0: str = "") -> Process:
    threads = tuple(Thread(TaskId(pid + at, 1), name) for at, name in enumerate((comm, *names)))
    return Process(TaskId(pid, 1), comm, argv0, threads)


def rule(name: str, command: str | None, command_on: CommandOn = CommandOn.COMM) -> CommandRule:
    return CommandRule(("p", "default", name), Schedule(), command, command_on)


RULE = st.builds(
    rule, st.text("xyz", min_size=1, max_size=2), st.one_of(st.none(), PATTERN), st.sampled_from(CommandOn)
)


@given(st.lists(RULE, max_size=8), TEXT, TEXT, TEXT)
def test_the_first_rule_that_takes_a_thread_is_the_one_that_a_loop_over_all_finds(
    rules: Sequence[CommandRule], comm: str, name: str, argv0: str
) -> None:
    binding = bound(rules, process(10, comm, name, argv0=argv0))
    texts = {CommandOn.COMM: comm, CommandOn.ARGV0: argv0}
    matched = match_threads(binding, FirstMatches(Patterns()))
    for taken in matched.taken:
        own = texts | {CommandOn.THREAD: taken.thread.name}
        assert taken.rule is next((one for one in rules if _takes(one, own[one.command_on])), None)


def _takes(one: CommandRule, text: str) -> bool:
    try:
        return one.command is None or Patterns().matches(one.command, text)
    except PatternError:
        return False


def test_rules_are_prepared_once_while_they_stay_the_same() -> None:
    first = FirstMatches(Patterns())
    rules = (rule("one", "^a"), rule("all", None))
    prepared = first.of(rules)
    first.learn([rules, rules])
    assert first.of(rules) is prepared
    assert first.of((rule("one", "^a"), rule("all", None))) is not prepared


def test_rules_are_prepared_anew_when_patterns_were_forgotten() -> None:
    first = FirstMatches(Patterns())
    old = tuple(rule(f"r{number}", f"^a{number}$") for number in range(5000))
    first.learn([old])
    first.of(old)
    new = (rule("one", "^b"),)
    first.learn([new])
    again = match_threads(bound(old[:3], process(10, "a2")), first)
    assert [taken.rule.intent[2] for taken in again.taken if taken.rule] == ["r2"]
