"""Where settings come from, and that every mistake is told with its place."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.planning.options import NamespaceLimits, Options
from gthulhu_reconcile.runtime.settings import load_settings
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.runtime.settings_schema import keys


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(
    file: str | None = None,
    environ: dict[str, str] | None = None,
    overrides: dict[str, object] | None = None,
    path: str = "gthulhu.yaml",
) -> tuple[Settings, tuple[Diagnostic, ...]]:
    if file is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(file, encoding="utf-8")
    config = None if path == "gthulhu.yaml" else Path(path)
    return load_settings(config, environ or {}, overrides or {}, host_name=lambda: "this-host")


def only(diagnostics: tuple[Diagnostic, ...]) -> Diagnostic:
    assert len(diagnostics) == 1, diagnostics
    return diagnostics[0]


def test_an_option_wins_over_the_environment_that_over_the_file_that_over_the_default() -> None:
    environ = {"GTHULHU_OWNER": "environment", "GTHULHU_SERVE_INTERVAL": "20s"}
    file = "owner: file\nserve: {interval: 10s, jitter: 0.5}\n"
    settings, diagnostics = load(file, environ, {"owner": "option"})
    assert diagnostics == ()
    assert settings.owner == "option"
    assert settings.serve.interval == timedelta(seconds=20)
    assert settings.serve.jitter == 0.5
    assert settings.serve.settle == timedelta(milliseconds=250)


def test_options_that_were_not_given_override_nothing() -> None:
    settings, _ = load("nodes: [a]\nadopt: true\n", {}, {"nodes": (), "adopt": None, "owner": None})
    assert settings.nodes == ("a",)
    assert settings.adopt


def test_without_a_file_the_defaults_hold_and_the_host_is_the_owner() -> None:
    settings, diagnostics = load()
    assert diagnostics == ()
    assert (settings.policies, settings.pods, settings.agents) == (("policies/",), "local", ("inventory/",))
    assert settings.owner == "this-host"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load("owner: file\n", {"GTHULHU_OWNER": ""})[0].owner == "file"


def test_the_environment_takes_lists_by_comma_and_mappings_as_json() -> None:
    environ = {
        "GTHULHU_POLICIES": "a.yaml, b/",
        "GTHULHU_NODES": '["x,y"]',
        "GTHULHU_LIMITS": '{"team-*": {"priorityMax": 3}}',
        "GTHULHU_OFFLINE": "Yes",
        "GTHULHU_GUARDS_MASS_FLOOR": "7",
    }
    settings, diagnostics = load(None, environ)
    assert diagnostics == ()
    assert settings.policies == ("a.yaml", "b/")
    assert settings.nodes == ("x,y",)
    assert settings.limits["team-*"].priority_max == 3
    assert settings.offline
    assert settings.guards.mass_floor == 7


def test_every_setting_can_be_set_by_its_variable_alone() -> None:
    names = [key.variable for key in keys()]
    assert len(set(names)) == len(names)
    example = {"array": "a,b", "boolean": "true", "integer": "1", "object": "{}"}
    special = {
        "at": "2026-01-01T00:00:00Z",
        "serve.cron": "0 8 * * 1-5",
        "serve.timeZone": "Europe/Berlin",
        "serve.listen": "off",
    }
    for key in keys():
        text = special.get(key.name) or example.get(key.schema.get("type", ""), "")
        text = text or str(key.schema.get("default") or "x")
        _, diagnostics = load(None, {key.variable: text})
        assert diagnostics == (), key.name


def test_paths_of_a_file_start_from_its_directory_and_others_do_not() -> None:
    file = "policies: [p/, -]\npods: pods.json\nagents: [hosts.yaml, 'http://127.0.0.1:1', 'unix:/s']\nsecretFile: s\n"
    settings, diagnostics = load(file, {}, {}, "etc/gthulhu/settings.yaml")
    assert diagnostics == ()
    assert settings.policies == ("etc/gthulhu/p/", "-")
    assert settings.pods == "etc/gthulhu/pods.json"
    assert settings.agents == ("etc/gthulhu/hosts.yaml", "http://127.0.0.1:1", "unix:/s")
    assert settings.secret_file == "etc/gthulhu/s"  # noqa: S105 - a path
    assert load("pods: local\n", {}, {"policies": ("q/",)}, "etc/s.yaml")[0].pods == "local"
    assert load("pods: local\n", {}, {"policies": ("q/",)}, "etc/s.yaml")[0].policies == ("q/",)


def test_all_mistakes_of_a_file_are_told_in_one_run_each_with_its_place() -> None:
    file = (
        "polices: [a]\n"
        "guards: {massFloor: many}\n"
        "serve:\n"
        "  interval: 5 parsecs\n"
        "  cron: 0 25 * * *\n"
        "  timeZone: Mars/Olympus\n"
        "limits:\n"
        "  team-*: {priorityMax: 3, priorityMin: 9}\n"
        "deadlines: {connect: 9h}\n"
    )
    settings, diagnostics = load(file)
    places = {(one.span.line, one.span.column): (one.code, one.suggestion) for one in diagnostics}
    assert places == {
        (1, 1): (Code.UNKNOWN_KEY, "policies"),
        (2, 21): (Code.WRONG_TYPE, ""),
        (4, 13): (Code.BAD_FORMAT, ""),
        (5, 9): (Code.BAD_CRON, ""),
        (6, 13): (Code.BAD_TIME_ZONE, ""),
        (8, 11): (Code.OUT_OF_RANGE, ""),
        (9, 22): (Code.OUT_OF_RANGE, ""),
    }
    assert all(one.snippet and one.span.path == "gthulhu.yaml" for one in diagnostics)
    assert settings.serve.interval == timedelta(seconds=60)


def test_a_number_above_a_maximum_of_one_is_not_called_empty() -> None:
    """``maximum: 1`` was told as ``minItems: 1`` is."""
    _, diagnostics = load("guards: {massFraction: 3}\n")
    assert "must be at most 1, not 3" in only(diagnostics).message


@pytest.mark.parametrize(
    ("environ", "overrides", "code", "words"),
    [
        ({"GTHULHU_STRICT": "maybe"}, {}, Code.WRONG_TYPE, "environment variable GTHULHU_STRICT: must be true"),
        ({"GTHULHU_SERVE_JITTER": "7"}, {}, Code.OUT_OF_RANGE, "environment variable GTHULHU_SERVE_JITTER: "),
        ({"GTHULHU_LIMITS": "[1]"}, {}, Code.WRONG_TYPE, "environment variable GTHULHU_LIMITS: must be an object"),
        ({"GTHULHU_LIMITS": '{"a": {"b": 1}}'}, {}, Code.UNKNOWN_KEY, "environment variable GTHULHU_LIMITS: "),
        ({}, {"at": "yesterday"}, Code.BAD_FORMAT, "option --at: must be an instant"),
        ({}, {"at": "2026-01-01T00:00:00"}, Code.BAD_FORMAT, "option --at: must be an instant with its offset"),
        ({}, {"serve.listen": "0.0.0.0:9470"}, Code.BAD_FORMAT, "option --listen: must be a loopback address"),
        ({}, {"serve.listen": "somewhere:1"}, Code.BAD_FORMAT, "option --listen: must be ADDRESS:PORT"),
        ({}, {"serve.listen": "127.0.0.1:99999"}, Code.BAD_FORMAT, "option --listen: must be ADDRESS:PORT"),
        ({}, {"serve.cron": "* * *"}, Code.BAD_CRON, "option --cron: "),
        ({}, {"serve.interval": "0s"}, Code.OUT_OF_RANGE, "option --interval: must be between 100ms and 1d"),
    ],
)
def test_faults_outside_of_files_name_what_set_the_value(
    environ: dict[str, str], overrides: dict[str, object], code: Code, words: str
) -> None:
    _, diagnostics = load(None, environ, overrides)
    fault = only(diagnostics)
    assert (fault.code, fault.severity) == (code, Severity.ERROR)
    assert fault.message.startswith(words)


def test_a_bad_value_of_the_file_is_blamed_on_the_file_though_a_neighbour_comes_from_the_environment() -> None:
    _, diagnostics = load("serve: {jitter: 9}\n", {"GTHULHU_SERVE_INTERVAL": "10s"})
    assert only(diagnostics).span.line == 1


def test_a_value_that_is_overridden_may_be_anything_but_its_file_is_judged_all_the_same() -> None:
    _, diagnostics = load("serve: {jitter: 9}\n", {"GTHULHU_SERVE_JITTER": "0.2"})
    assert only(diagnostics).code is Code.OUT_OF_RANGE


def test_variables_that_nobody_reads_were_ignored_in_silence() -> None:
    environ = {"GTHULHU_GUARDS_MASS_FLOR": "3", "GTHULHU_FOO": "1", "GTHULHU_AGENT": "x", "GTHULHU_PORT": "9470"}
    _, diagnostics = load(None, environ)
    assert {(fault.severity, fault.code) for fault in diagnostics} == {(Severity.WARNING, Code.UNKNOWN_KEY)}
    assert [(fault.message.split(":")[0].split()[-1], fault.suggestion) for fault in diagnostics] == [
        ("GTHULHU_AGENT", "GTHULHU_AGENTS"),
        ("GTHULHU_FOO", ""),
        ("GTHULHU_GUARDS_MASS_FLOR", "GTHULHU_GUARDS_MASS_FLOOR"),
        ("GTHULHU_PORT", "GTHULHU_PODS"),
    ]


def test_variables_of_the_agent_the_tests_and_kubernetes_are_not_warned_about() -> None:
    ours = ("CONFIG", "DEBUG", "REQUIRE_ALL", "WRITE_DOCS", "AGENT_STATE_DIR")
    links = {
        "GTHULHU_SERVICE_HOST": "10.0.0.1",
        "GTHULHU_SERVICE_PORT": "80",
        "GTHULHU_API_SERVICE_PORT_HTTP": "80",
        "GTHULHU_PORT": "tcp://10.0.0.1:80",
        "GTHULHU_PORT_80_TCP": "tcp://10.0.0.1:80",
        "GTHULHU_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    _, diagnostics = load(None, {**{f"GTHULHU_{name}": "1" for name in ours}, **links})
    assert diagnostics == ()


def test_a_glob_in_what_is_released_was_taken_and_released_nothing() -> None:
    Path("gthulhu.yaml").write_text("guards: {protected: {released: [kube-system, 'kube-*']}}\n")
    _, diagnostics = load()
    fault = only(diagnostics)
    assert (fault.code, fault.span.line, fault.span.column) == (Code.NOT_ALLOWED, 1, 46)
    assert "globs release nothing" in fault.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"owner: [", Code.YAML_SYNTAX),
        (b"owner: \xff\xfe", Code.ENCODING),
        (b"a: &x [1]\nb: *x\n", Code.UNSAFE_YAML),
        (b"owner: a\nowner: b\n", Code.DUPLICATE_KEY),
        (b"owner: a\n---\nowner: b\n", Code.NOT_ALLOWED),
        (b"- owner\n", Code.WRONG_TYPE),
        (b"# " + b"x" * (2 << 20), Code.TOO_LARGE),
    ],
)
def test_hostile_files_are_refused_like_hostile_policies(content: bytes, code: Code) -> None:
    Path("gthulhu.yaml").write_bytes(content)
    _, diagnostics = load()
    assert code in {one.code for one in diagnostics}


def test_a_file_that_is_named_but_not_there_is_an_error() -> None:
    _, diagnostics = load_settings(Path("absent.yaml"), {}, {})
    assert only(diagnostics).code is Code.UNREADABLE


def test_an_empty_file_sets_nothing() -> None:
    assert load("# nothing yet\n")[1] == ()


def test_a_secret_is_never_a_value() -> None:
    words = ("password", "token", "secret")
    assert [key.name for key in keys() if any(word in key.name.lower() for word in words)] == ["secretFile"]


def test_the_planner_gets_what_the_settings_say() -> None:
    file = (
        "owner: me\nadopt: true\nnodes: [a*]\n"
        "guards: {massFloor: 9, massFraction: 0.5, protected: {namespaces: [x], units: [u], released: [x]}}\n"
        'limits: {"t-*": {priorityMin: -3, priorityMax: 3, preempt: false, timeSliceMin: 500us, timeSliceMax: 5ms}}\n'
    )
    settings, diagnostics = load(file, {}, {"approve": "abc"})
    assert diagnostics == ()
    options = settings.planning_options(("pods.json",))
    assert options.limits == (("t-*", NamespaceLimits(-3, 3, False, 500_000, 5_000_000)),)
    assert (options.owner, options.adopt, options.approve, options.only_nodes) == ("me", True, "abc", ("a*",))
    assert (options.mass_floor, options.mass_fraction, options.unreadable) == (9, 0.5, ("pods.json",))
    assert (options.protection.namespaces, options.protection.units, options.protection.released) == (
        ("x",),
        ("u",),
        ("x",),
    )


def test_the_defaults_are_the_planners_own() -> None:
    options, own = load()[0].planning_options(), Options(owner="this-host")
    assert options == own


@given(st.dictionaries(st.sampled_from([key.name for key in keys()]), st.text(max_size=20), max_size=4))
def test_no_text_in_any_variable_raises(values: dict[str, str]) -> None:
    variables = {key.variable: values[key.name] for key in keys() if key.name in values}
    _, diagnostics = load_settings(None, variables, {}, host_name=lambda: "h")
    assert json.dumps([one.as_json() for one in diagnostics])
