"""scripts/bpf: what it makes, what it says where it cannot, and that the object reaches nodes in the agent's wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from requirement import missing

from gthulhu_agent.bpf.object import object_file

ROOT = Path(__file__).resolve().parents[2]
MADE = Path("agent/gthulhu_agent/bpf/objects")
TOOLS = ("sh", "id", "dirname", "basename", "cat", "sha256sum", "uname", "mkdir", "mv", "ls", "tr")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the script reads, and a PATH that has neither clang nor apt-get."""
    tree = tmp_path / "checkout"
    shutil.copytree(ROOT / "bpf", tree / "bpf")
    (tree / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/bpf", tree / "scripts/bpf")
    tools = tree / "tools"
    tools.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    return tree


def run(checkout: Path, *arguments: str, path: str = "", require_all: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("sh") or "sh", "scripts/bpf", *arguments],
        cwd=checkout,
        env={"PATH": path or str(checkout / "tools"), "GTHULHU_REQUIRE_ALL": require_all},
        capture_output=True,
        text=True,
        check=False,
    )


def without_libbpf() -> bool:
    return not any(Path("/usr/lib").glob("*/libbpf.so.1"))


def test_without_clang_the_command_that_brings_it_is_named(checkout: Path) -> None:
    if without_libbpf():
        missing("libbpf is not here: make bpf")
    told = run(checkout)
    assert told.returncode == 1
    assert told.stderr == "bpf: clang >= 16 is missing. Install it with:  sudo apt-get install clang-19 llvm-19\n"


def test_what_can_do_without_goes_on_and_says_with_what(checkout: Path) -> None:
    told = run(checkout, "--if-possible")
    assert told.returncode == 0
    assert "going on without; the agent then hears of new threads from the process connector" in told.stderr


def test_where_everything_is_required_nothing_goes_on_without(checkout: Path) -> None:
    assert run(checkout, "--if-possible", require_all="1").returncode == 1


def test_the_object_is_the_same_wherever_it_is_made(checkout: Path) -> None:
    if shutil.which("clang-19") is None or not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    told = run(checkout, path=os.environ["PATH"])
    assert told.returncode == 0, told.stderr
    made = checkout / MADE / "tracer.bpf.o"
    assert made.read_bytes() == object_file("tracer").read_bytes()
    assert b"checkout" not in made.read_bytes()


def test_what_is_made_is_made_once_until_a_source_changes(checkout: Path) -> None:
    if shutil.which("clang-19") is None:
        missing("clang is not here: make bpf")
    assert "made tracer.bpf.o" in run(checkout, path=os.environ["PATH"]).stderr
    assert run(checkout, path=os.environ["PATH"]).stderr == ""
    with (checkout / "bpf/tracer.h").open("a") as header:
        header.write("\n/* another */\n")
    assert "made tracer.bpf.o" in run(checkout, path=os.environ["PATH"]).stderr


def test_an_object_that_was_cut_off_was_never_made_anew(checkout: Path) -> None:
    if shutil.which("clang-19") is None:
        missing("clang is not here: make bpf")
    run(checkout, path=os.environ["PATH"])
    made = checkout / MADE / "tracer.bpf.o"
    whole = made.read_bytes()
    made.write_bytes(whole[:1000])
    assert "made tracer.bpf.o" in run(checkout, path=os.environ["PATH"]).stderr
    assert made.read_bytes() == whole


@pytest.mark.slow
def test_the_wheel_carries_the_object(tmp_path: Path) -> None:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    cache = {} if os.access(Path.home(), os.W_OK) else {"UV_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run(
        [ROOT / ".venv/bin/uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT / "agent"],
        env=os.environ | cache,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert packed.read("gthulhu_agent/bpf/objects/tracer.bpf.o") == object_file("tracer").read_bytes()
        assert not [name for name in packed.namelist() if name.endswith(".made-from")]
