"""Each diagnostic that loading gives: its code, its place, and what it says to do."""

from __future__ import annotations

import pytest
from policy_texts import load_text, node_policy, scheduling_policy

from gthulhu_reconcile.model.diagnostics import Code, Severity
from gthulhu_reconcile.planning.options import NamespaceLimits, Protection

CASES: dict[str, tuple[Code, str | bytes, int, int]] = {
    "tab": (Code.YAML_SYNTAX, "a:\n\t- b\n", 2, 1),
    "colon in text": (Code.YAML_SYNTAX, "a: b: c\n", 1, 5),
    "latin-1": (Code.ENCODING, b"a: caf\xe9\n", 1, 7),
    "anchor": (Code.UNSAFE_YAML, "a: &x 1\n", 1, 4),
    "merge key": (Code.UNSAFE_YAML, "a: {<<: {b: c}}\n", 1, 5),
    "tag": (Code.UNSAFE_YAML, "a: !!python/object:os.system x\n", 1, 4),
    "number as key": (Code.UNSAFE_YAML, "1: a\n", 1, 1),
    "too deep": (Code.TOO_LARGE, "[" * 40, 1, 33),
    "duplicate key": (Code.DUPLICATE_KEY, "a: 1\nb: 2\na: 3\n", 3, 1),
    "unknown kind": (Code.UNKNOWN_KIND, "kind: SchedulingPolcy\n", 1, 7),
    "unknown key": (Code.UNKNOWN_KEY, scheduling_policy(schedule="{priorty: 1}"), 6, 14),
    "missing key": (Code.MISSING_KEY, scheduling_policy().replace("name: web", ""), 3, 1),
    "wrong type": (Code.WRONG_TYPE, scheduling_policy(schedule="{priority: high}"), 6, 24),
    "out of range": (Code.OUT_OF_RANGE, scheduling_policy(schedule="{priority: 21}"), 6, 24),
    "slice out of range": (Code.OUT_OF_RANGE, scheduling_policy(schedule="{timeSlice: 1s}"), 6, 25),
    "long number": (Code.OUT_OF_RANGE, scheduling_policy(schedule=f"{{priority: {'9' * 5000}}}"), 6, 24),
    "not allowed": (Code.NOT_ALLOWED, scheduling_policy(more="  onDelete: revrt\n"), 7, 13),
    "two names of one thing": (
        Code.NOT_ALLOWED,
        scheduling_policy(schedule="{timeSlice: 5ms, executionTime: 5000000}"),
        6,
        30,
    ),
    "all and more": (Code.NOT_ALLOWED, scheduling_policy(selector="{all: true, namespaces: [a]}"), 5, 14),
    "bad format": (Code.BAD_FORMAT, scheduling_policy(schedule="{timeSlice: 5 ms}"), 6, 25),
    "bad label key": (Code.BAD_FORMAT, scheduling_policy(selector="{matchLabels: {-a: b}}"), 5, 28),
    "no such day": (
        Code.BAD_FORMAT,
        scheduling_policy(more="  suspend: {reason: x, until: 2026-02-30T00:00:00Z}\n"),
        7,
        31,
    ),
    "bad pattern": (Code.BAD_PATTERN, scheduling_policy(selector='{command: "(upf"}'), 5, 23),
    "look-around is not RE2": (Code.BAD_PATTERN, scheduling_policy(selector='{command: "a(?=b)"}'), 5, 23),
    "bad cron": (
        Code.BAD_CRON,
        scheduling_policy(schedule='{priority: 1, active: {cron: "0 25 * * *", duration: 1h}}'),
        6,
        42,
    ),
    "never comes": (
        Code.BAD_CRON,
        scheduling_policy(schedule='{priority: 1, active: {cron: "0 0 31 2 *", duration: 1h}}'),
        6,
        42,
    ),
    "bad zone": (
        Code.BAD_TIME_ZONE,
        scheduling_policy(schedule='{priority: 1, active: {cron: "0 8 * * *", duration: 1h, timeZone: Europe/Berln}}'),
        6,
        79,
    ),
    "empty selector": (Code.EMPTY_SELECTOR, scheduling_policy(selector="{}"), 5, 3),
    "all: false is empty too": (Code.EMPTY_SELECTOR, scheduling_policy(selector="{all: false}"), 5, 3),
    "empty schedule": (Code.EMPTY_SCHEDULE, scheduling_policy(schedule="{}"), 6, 3),
    "duplicate policy": (Code.DUPLICATE_POLICY, f"{scheduling_policy()}---\n{scheduling_policy()}", 10, 18),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_code_and_place(case: str) -> None:
    code, text, line, column = CASES[case]
    loaded = load_text(text)
    found = [finding for finding in loaded.diagnostics if finding.code is code]
    assert [(finding.span.line, finding.span.column) for finding in found] == [(line, column)]
    assert found[0].severity is Severity.ERROR
    assert loaded.unreadable == ("<stdin>",)


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_never_leaves_its_policy_loaded(case: str) -> None:
    code, text, _, _ = CASES[case]
    expected = 1 if code is Code.DUPLICATE_POLICY else 0
    assert len(load_text(text).policies) == expected


def test_the_snippet_has_the_faulty_line() -> None:
    (finding,) = load_text(scheduling_policy(schedule="{priorty: 1, priority: 1}")).diagnostics
    assert finding.suggestion == "priority"
    assert finding.pointer == "/spec/schedule/priorty"
    assert finding.snippet == (
        (5, "  selector: {matchLabels: {app: web}}"),
        (6, "  schedule: {priorty: 1, priority: 1}"),
    )


def test_all_mistakes_of_a_file_come_in_one_run() -> None:
    text = scheduling_policy(
        selector='{command: "(", matchLabel: {a: b}, matchLabels: {x: 5}}',
        schedule="{priority: 99, timeSlice: 1s, active: {cron: x, duration: 1, timeZone: y}}",
        more="  onDelete: no\n  suspend: {}\n",
    )
    broken = f"{text}---\nkind: x\n---\na: : b\n---\n{scheduling_policy(name='A')}---\n[\n"
    codes = [finding.code for finding in load_text(broken).diagnostics]
    assert codes == [
        Code.BAD_PATTERN,
        Code.UNKNOWN_KEY,
        Code.WRONG_TYPE,
        Code.OUT_OF_RANGE,
        Code.OUT_OF_RANGE,
        Code.BAD_CRON,
        Code.WRONG_TYPE,
        Code.BAD_TIME_ZONE,
        Code.NOT_ALLOWED,
        Code.MISSING_KEY,
        Code.UNKNOWN_KIND,
        Code.YAML_SYNTAX,
        Code.BAD_FORMAT,
        Code.YAML_SYNTAX,
    ]


def test_one_slip_is_one_finding() -> None:
    """A misspelt required key is not also missing, and a refused value is not also of the wrong type."""
    assert [f.code for f in load_text(scheduling_policy().replace("name: web", "nam: web")).diagnostics] == [
        Code.UNKNOWN_KEY
    ]
    assert [f.code for f in load_text(scheduling_policy(schedule="{priorty: 1}")).diagnostics] == [Code.UNKNOWN_KEY]
    aliased = scheduling_policy(schedule="{priority: *x}")
    assert [f.code for f in load_text(aliased).diagnostics] == [Code.UNSAFE_YAML]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (scheduling_policy(selector="{units: [a.service]}"), "it is for kind NodeSchedulingPolicy only"),
        (scheduling_policy(selector="{all: true, priority: 5}"), "it belongs inside of 'schedule'"),
        (scheduling_policy(more="  priority: 5\n"), "it belongs inside of 'schedule'"),
        (
            scheduling_policy(selector="{matchExpressions: [{key: a, operator: Exists, values: [b]}]}"),
            "it is for operator In and operator NotIn only",
        ),
        (scheduling_policy(selector="{matchLabels: {a: 1}}"), 'write "1"'),
        (scheduling_policy(schedule="{preempt: yes}"), "YAML 1.2 knows true and false only"),
        (scheduling_policy(schedule="{priority: }"), "leave the key out, or give it a value"),
        (scheduling_policy(selector="{namespaces: web}"), "write [web]"),
    ],
)
def test_hints_say_what_to_do(text: str, hint: str) -> None:
    assert hint in [finding.hint for finding in load_text(text).diagnostics]


def test_execution_time_is_deprecated_and_still_holds() -> None:
    loaded = load_text(scheduling_policy(schedule="{executionTime: 20000000}"))
    (finding,) = loaded.diagnostics
    assert (finding.code, finding.severity) == (Code.DEPRECATED, Severity.WARNING)
    assert loaded.policies[0].schedule.time_slice_ns == 20_000_000
    assert loaded.unreadable == ()


def test_a_file_without_policies_is_said() -> None:
    loaded = load_text("# nothing yet\n---\n")
    assert [(f.code, f.severity) for f in loaded.diagnostics] == [(Code.NO_POLICIES, Severity.WARNING)]
    assert loaded.unreadable == ()


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (scheduling_policy(selector="{namespaces: [web, kube-system]}"), 32),
        (node_policy(selector="{units: [sshd.service]}"), 22),
    ],
)
def test_protected_names_need_a_release(text: str, column: int) -> None:
    (finding,) = load_text(text, protected=Protection()).diagnostics
    assert (finding.code, finding.span.column) == (Code.PROTECTED, column)
    released = Protection(released=("kube-system", "sshd.service"))
    assert load_text(text, protected=released).diagnostics == ()
    assert load_text(text).diagnostics == ()


@pytest.mark.parametrize(
    ("schedule", "column"),
    [("{preempt: false, priority: 6}", 40), ("{preempt: true}", 23), ("{timeSlice: 100us}", 25)],
)
def test_limits_of_a_named_namespace_bind(schedule: str, column: int) -> None:
    limits = (("web-*", NamespaceLimits(priority_max=5, preempt=False, time_slice_min_ns=1_000_000)),)
    text = scheduling_policy(selector="{namespaces: [web-1]}", schedule=schedule)
    (finding,) = load_text(text, limits=limits).diagnostics
    assert (finding.code, finding.span.column) == (Code.NAMESPACE_LIMIT, column)
    assert load_text(text.replace("web-1", "other"), limits=limits).diagnostics == ()
    assert load_text(text.replace("web-1", "web*"), limits=limits).diagnostics == ()
