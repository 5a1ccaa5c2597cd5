"""Reading files and directories: what is missed is always said."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from policy_texts import scheduling_policy

from gthulhu_reconcile.loading.files import Content, ReadLimits, read_all, read_file, shown_path
from gthulhu_reconcile.loading.policies import Loaded, LoadLimits, load
from gthulhu_reconcile.loading.yamltree import Limits
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of policies below the working directory."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "policies"
    (root / "team").mkdir(parents=True)
    (root / "a.yaml").write_text(scheduling_policy(name="a"))
    (root / "team" / "b.yml").write_text(scheduling_policy(name="b"))
    (root / "README.md").write_text("no policy")
    return root


def names(loaded: Loaded) -> list[str]:
    return [policy.ref.name for policy in loaded.policies]


def codes(loaded: Loaded) -> list[Code]:
    return [finding.code for finding in loaded.diagnostics]


def test_a_directory_is_read_with_all_below_it(tree: Path) -> None:
    loaded = load(["policies"])
    assert names(loaded) == ["a", "b"]
    assert loaded.files == ("policies/a.yaml", "policies/team/b.yml")
    assert [policy.ref.source for policy in loaded.policies] == ["policies/a.yaml", "policies/team/b.yml"]
    assert loaded == load([str(tree)])


def test_a_file_with_a_suffix_in_capitals_was_skipped_in_silence(tree: Path) -> None:
    (tree / "C.YAML").write_text(scheduling_policy(name="c"))
    (tree / "d.Json").symlink_to("nowhere")
    loaded = load(["policies"])
    assert names(loaded) == ["a", "b", "c"]
    assert loaded.unreadable == ("policies/d.Json",)


def test_the_source_of_a_file_elsewhere_is_its_whole_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "team")
    assert load(["../a.yaml"]).policies[0].ref.source == str(tree / "a.yaml")


def test_the_result_does_not_depend_on_the_order_of_paths(tree: Path) -> None:
    del tree
    forward, backward = load(["policies/a.yaml", "policies/team"]), load(["policies/team", "policies/a.yaml"])
    assert forward.policies == backward.policies


def test_standard_input_is_one_file(tree: Path) -> None:
    del tree
    loaded = load(["-", "policies"], stdin=io.BytesIO(scheduling_policy(name="c").encode()))
    assert names(loaded) == ["a", "b", "c"]
    assert loaded.policies[2].ref.source == "<stdin>"
    assert codes(load(["-"])) == [Code.UNREADABLE]


def test_the_same_file_twice_is_read_once(tree: Path) -> None:
    (tree / "again.yaml").symlink_to("a.yaml")
    (tree / "hard.yaml").hardlink_to(tree / "a.yaml")
    loaded = load(["policies", "policies/a.yaml"])
    assert (names(loaded), codes(loaded)) == (["a", "b"], [])


def test_a_policy_in_two_files_is_told_with_both_places(tree: Path) -> None:
    (tree / "z.yaml").write_text(scheduling_policy(name="a"))
    loaded = load(["policies"])
    (finding,) = loaded.diagnostics
    assert (finding.code, finding.span.path, finding.span.line) == (Code.DUPLICATE_POLICY, "policies/z.yaml", 3)
    assert "policies/a.yaml:1" in finding.hint
    assert loaded.unreadable == ("policies/z.yaml",)


def test_links_of_a_mounted_config_map_are_followed(tree: Path) -> None:
    (tree / "..2026_01_01").mkdir()
    (tree / "..2026_01_01" / "c.yaml").write_text(scheduling_policy(name="c"))
    (tree / "..data").symlink_to("..2026_01_01")
    (tree / "c.yaml").symlink_to("..data/c.yaml")
    assert names(load(["policies"])) == ["a", "b", "c"]


@pytest.mark.parametrize("target", ["../outside.yaml", "/etc/passwd"])
def test_a_link_that_leaves_the_tree_is_unreadable(tree: Path, target: str) -> None:
    (tree.parent / "outside.yaml").write_text(scheduling_policy(name="secret"))
    (tree / "link.yaml").symlink_to(target)
    loaded = load(["policies"])
    assert (names(loaded), codes(loaded)) == (["a", "b"], [Code.UNREADABLE])
    assert loaded.unreadable == ("policies/link.yaml",)


def test_a_linked_directory_outside_is_unreadable_and_one_inside_is_no_loop(tree: Path) -> None:
    (tree / "loop").symlink_to(".")
    (tree / "out").symlink_to("/usr")
    loaded = load(["policies"])
    assert names(loaded) == ["a", "b"]
    assert loaded.unreadable == ("policies/out",)


def test_a_dangling_link_is_unreadable_not_absent(tree: Path) -> None:
    """A half-finished checkout must not read as a smaller set of policies."""
    (tree / "gone.yaml").symlink_to("nowhere.yaml")
    (tree / "self.yaml").symlink_to("self.yaml")
    assert load(["policies"]).unreadable == ("policies/gone.yaml", "policies/self.yaml")


def test_what_is_no_regular_file_cannot_hold_the_reader(tree: Path) -> None:
    os.mkfifo(tree / "pipe.yaml")
    (tree / "dir.yaml").mkdir()
    assert load(["policies"]).unreadable == ("policies/pipe.yaml",)
    assert load(["/dev/zero"]).unreadable == ("/dev/zero",)


def test_a_missing_path_is_unreadable() -> None:
    assert load(["/no/such/folder"]).unreadable == ("/no/such/folder",)
    assert load(["a\0b"]).unreadable == ("a\\x00b",)


def test_a_directory_that_cannot_be_listed_is_unreadable(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("team"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    loaded = load([str(tree)])
    assert (names(loaded), loaded.unreadable) == (["a"], ("policies/team",))
    assert loaded.diagnostics[0].message == "may not be read by this user"


def test_a_file_with_any_mistake_counts_as_unread(tree: Path) -> None:
    (tree / "a.yaml").write_text(scheduling_policy(name="a") + "---\n" + scheduling_policy(name="c", schedule="{}"))
    loaded = load(["policies"])
    assert names(loaded) == ["a", "b"]
    assert loaded.unreadable == ("policies/a.yaml",)


def test_sizes_are_bounded_in_all(tree: Path) -> None:
    for limits in (
        LoadLimits(reading=ReadLimits(file_bytes=10)),
        LoadLimits(reading=ReadLimits(bytes=200)),
        LoadLimits(reading=ReadLimits(files=1)),
        LoadLimits(reading=ReadLimits(entries=2)),
        LoadLimits(documents=1),
        LoadLimits(events=40),
        LoadLimits(file=Limits(events=10)),
    ):
        loaded = load([str(tree)], bounds=limits)
        assert Code.TOO_LARGE in codes(loaded), limits
        assert loaded.unreadable
        assert len(loaded.policies) < 2


@pytest.mark.parametrize("pattern", [r"\pL{1,8}x%d", r"(\pL\pN){1,99}x%d"])
def test_patterns_that_cost_milliseconds_each_held_the_reader_for_a_minute(tmp_path: Path, pattern: str) -> None:
    for n in range(450):
        text = scheduling_policy(name=f"p{n}", selector=f"{{command: '{pattern % n}'}}")
        (tmp_path / f"{n}.yaml").write_text(text)
    loaded = load([str(tmp_path)])
    assert loaded.diagnostics[-1].code is Code.TOO_LARGE
    assert "patterns may cost" in loaded.diagnostics[-1].message
    assert len(loaded.diagnostics) + len(loaded.policies) < 430


def test_findings_are_bounded_and_the_bound_is_said() -> None:
    keys = "".join(f"  k{number}: 1\n" for number in range(500))
    loaded = load(["-"], stdin=io.BytesIO((scheduling_policy() + keys).encode()))
    assert len(loaded.diagnostics) == Limits().findings + 1
    assert loaded.diagnostics[-1].code is Code.TOO_LARGE


def test_names_that_a_terminal_cannot_take_are_escaped(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\x1b[31m\n.yaml"
    Path(os.fsdecode(path)).write_text(scheduling_policy(name="odd"))
    loaded = load([str(tmp_path)])
    (policy,) = loaded.policies
    assert policy.ref.source.endswith("/\\xff\\x1b[31m\\n.yaml")
    assert policy.ref.source.isprintable()
    policy.ref.source.encode()


def test_one_file_is_a_value_or_a_reason(tree: Path) -> None:
    assert read_file(str(tree / "README.md")) == Content("policies/README.md", b"no policy")
    found = read_file(str(tree / "README.md"), limit=3)
    assert isinstance(found, Diagnostic)
    assert found.code is Code.TOO_LARGE
    assert isinstance(read_file(str(tree)), Diagnostic)
    assert [item.path for item in read_all(["policies"]) if isinstance(item, Content)] == [
        "policies/a.yaml",
        "policies/team/b.yml",
    ]
    assert shown_path(tree) == "policies"
