"""The ``test`` command over files: what stands in the way is told with its place, and never passes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gthulhu_reconcile.cli.main import run
from gthulhu_reconcile.cli.policytests.documents import schemas

CHECKOUT = Path(__file__).resolve().parents[2]
POLICY = """\
apiVersion: policy.gthulhu.io/v1
kind: SchedulingPolicy
metadata: {name: web}
spec:
  selector: {namespaces: [web]}
  schedule: {priority: 5}
"""
WINDOW = POLICY.replace("{priority: 5}", '{priority: 5, active: {cron: "0 8 * * *", duration: 1h}}')
PODS = """\
pods:
- {namespace: web, name: front-0, uid: 00000000-0000-4000-8000-000000000001, node: worker-1}
"""
TEST = """\
apiVersion: policy.gthulhu.io/v1
kind: PolicyTest
policies: [../policies/]
pods: ../pods.yaml
cases:
- name: web wins
  expect:
  - {pod: web/front-0, winner: web}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a policy, a pod and a test that passes."""
    for name in [name for name in os.environ if name.startswith("GTHULHU_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, text in {"policies/web.yaml": POLICY, "pods.yaml": PODS, "tests/web.test.yaml": TEST}.items():
        write(tmp_path, name, text)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_test_that_holds_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["test", "tests"]) == 0
    assert capsys.readouterr().out.endswith("Tests: 1 passed, 0 failed; 1/1 policy exercised.\n")


def test_one_file_can_be_run_alone() -> None:
    assert run(["test", "tests/web.test.yaml"]) == 0


def test_a_directory_without_tests_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Regression: a runner that finds nothing and passes."""
    (folder / "empty").mkdir()
    assert run(["test", "empty"]) == 1
    assert "Nothing was tested" in capsys.readouterr().out
    assert run(["test", "absent"]) == 1


def test_a_missing_policy_cannot_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Regression: tests that pass because the rule that they are about is not there."""
    (folder / "policies/web.yaml").unlink()
    write(folder, "tests/web.test.yaml", TEST.replace("winner: web", "winner: none"))
    assert run(["test", "tests"]) == 1
    assert "[no-policies]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("policies/web.yaml", POLICY.replace("priority", "priorty"), "policies/web.yaml:6:14: error[unknown-key]"),
        ("policies/web.yaml", WINDOW, "tests/web.test.yaml:6:3: error[missing-key]: 'at' is missing"),
        ("pods.yaml", "pods: [", "pods.yaml:1:8: error[yaml-syntax]"),
        ("tests/web.test.yaml", TEST.replace("winner", "wins"), "error[unknown-key]: 'wins' is not allowed here"),
        ("tests/web.test.yaml", TEST.replace("pods: ../pods.yaml", "pods: ../none.yaml"), "error[unreadable]"),
        ("tests/web.test.yaml", TEST.replace("winner: web", "winner: web, node: n"), "'node' is not allowed beside"),
        ("tests/web.test.yaml", TEST.replace("pod: web/front-0", "node: n, container: c"), "beside 'container'"),
        ("tests/web.test.yaml", TEST.replace("pod: web/front-0, ", ""), "at least one of pod, node is needed"),
        ("tests/web.test.yaml", TEST.replace("cases:", "cases: []\nother:"), "error[unknown-key]: 'other'"),
    ],
)
def test_what_stands_in_the_way_is_told_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, words: str
) -> None:
    write(folder, name, text)
    assert run(["test", "tests"]) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert "1 passed" not in captured.out


@pytest.mark.parametrize("winner", ["web", "none"])
def test_a_container_that_the_pod_does_not_have_passed(
    folder: Path, capsys: pytest.CaptureFixture[str], winner: str
) -> None:
    write(folder, "pods.yaml", PODS.replace("node: worker-1", "node: worker-1, containers: [{name: nginx}]"))
    write(folder, "tests/web.test.yaml", TEST.replace("winner: web", f"container: ngnix, winner: {winner}"))
    assert run(["test", "tests"]) == 1
    out = capsys.readouterr().out
    assert "pod web/front-0 has no container 'ngnix'" in out
    assert "did you mean 'nginx'?" in out
    write(folder, "tests/web.test.yaml", TEST.replace("winner: web", "container: nginx, winner: web"))
    assert run(["test", "tests"]) == 0


def test_one_broken_file_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "tests/broken.test.yaml", "kind: PolicyTest\n")
    assert run(["test", "tests"]) == 1
    captured = capsys.readouterr()
    assert "tests/broken.test.yaml:1:1: error[missing-key]" in captured.err
    assert "ok   tests/web.test.yaml: web wins" in captured.out


def test_an_instant_judges_windows(folder: Path) -> None:
    write(folder, "policies/web.yaml", WINDOW)
    write(folder, "tests/web.test.yaml", TEST.replace("cases:", 'at: "2026-01-31T08:30:00Z"\ncases:'))
    assert run(["test", "tests"]) == 0
    write(folder, "tests/web.test.yaml", TEST.replace("cases:", 'at: "2026-01-31T09:30:00Z"\ncases:'))
    assert run(["test", "tests"]) == 1


def test_the_settings_decide_along(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "gthulhu.yaml", "guards: {protected: {namespaces: [web]}}\n")
    assert run(["test", "tests"]) == 1
    assert "[protected]" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "junit", "github"])
def test_machines_learn_what_failed(folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    write(folder, "tests/web.test.yaml", TEST.replace("winner: web", "winner: none"))
    assert run(["test", "tests", "-o", form]) == 1
    out = capsys.readouterr().out
    if form == "json":
        assert json.loads(out)["summary"]["failed"] == 1
    elif form == "junit":
        assert ET.fromstring(out).get("failures") == "1"  # noqa: S314 - made two lines above
    else:
        assert out.startswith("::error file=tests/web.test.yaml,line=8,col=5,")


def test_the_example_tests_pass_and_exercise_every_example(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CHECKOUT)
    assert run(["test", "policy-tests"]) == 0
    assert re.search(r" (\d+)/\1 policies exercised", capsys.readouterr().out)
    assert run(["validate", "--strict", "policies/"]) == 0


@pytest.mark.parametrize(("path", "text"), list(schemas()), ids=lambda value: getattr(value, "name", ""))
def test_the_committed_schemas_are_what_the_models_give(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text
