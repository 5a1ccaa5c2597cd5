"""Weights in files, and through systemd."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gthulhu_agent.discovery.layout import Layout, LayoutKind
from gthulhu_agent.enforcing.cgroups import V1, V2, KernelCgroups, NoCgroups
from gthulhu_agent.enforcing.systemd import Completed, Systemd, UnitWeight, run_command


class Systemctl:
    """Answers as systemctl does, and remembers what it was asked."""

    def __init__(self, shown: str = "", code: int = 0, errors: str = "") -> None:
        self.asked: list[Sequence[str]] = []
        self._answer = Completed(code, shown, errors)

    def __call__(self, command: Sequence[str]) -> Completed:
        """The port's."""
        self.asked.append(command)
        return self._answer


def over(folder: Path, version: int = 2, run: Systemctl | None = None) -> KernelCgroups:
    """The real port over a folder, on a host whose systemd is ``run``."""
    kind = LayoutKind.V2 if version > 1 else LayoutKind.V1
    booted = folder if run else folder / "no-systemd"
    systemd = Systemd(version=version, run=run or Systemctl(), booted=booted)
    return KernelCgroups(Layout(kind, version, folder), systemd, pause=lambda _seconds: None)


def test_v2_reads_and_writes_cpu_weight(tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    (tmp_path / "pod/cpu.weight").write_text("79\n")
    (tmp_path / "pod/cgroup.threads").write_text("3\n5\n")
    cgroups = over(tmp_path)
    assert cgroups.read("/pod") == 79
    cgroups.write("/pod", 736)
    assert (tmp_path / "pod/cpu.weight").read_text().strip() == "736"
    assert cgroups.threads("/pod") == (3, 5)
    assert cgroups.scale is V2


def test_v1_reads_and_writes_cpu_shares(tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    (tmp_path / "pod/cpu.shares").write_text("1024\n")
    (tmp_path / "pod/tasks").write_text("3\n")
    cgroups = over(tmp_path, version=1)
    cgroups.write("/pod", 9537)
    assert cgroups.read("/pod") == 9537
    assert cgroups.threads("/pod") == (3,)
    assert cgroups.scale.as_weight(9537) == 931


def test_weights_of_v1_are_told_in_those_of_v2_and_stay_in_their_range() -> None:
    assert (V1.as_weight(2), V1.as_weight(1024), V1.as_weight(262_144)) == (1, 100, 10_000)


def test_a_cgroup_without_the_cpu_controller_has_no_weight(tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    cgroups = over(tmp_path)
    assert cgroups.read("/pod") is None
    with pytest.raises(FileNotFoundError):
        cgroups.write("/pod", 5)
    assert not (tmp_path / "pod/cpu.weight").exists()


def test_a_cgroup_that_is_gone_is_nothing(tmp_path: Path) -> None:
    cgroups = over(tmp_path)
    assert (cgroups.inode("/pod"), cgroups.read("/pod"), cgroups.threads("/pod")) == (None, None, ())


def test_a_host_without_cgroups_has_nothing() -> None:
    cgroups = NoCgroups()
    assert (cgroups.inode("/a"), cgroups.read("/a"), cgroups.owner("/a"), cgroups.threads("/a")) == (
        None,
        None,
        None,
        (),
    )
    with pytest.raises(FileNotFoundError):
        cgroups.write("/a", 1)


@pytest.mark.parametrize(
    ("weight", "value"), [("250", 250), ("[not set]", None), ("18446744073709551615", None), ("", None)]
)
def test_a_unit_is_systemds_where_systemd_says_so(tmp_path: Path, weight: str, value: int | None) -> None:
    systemctl = Systemctl(f"ControlGroup=/system.slice/db.service\nCPUWeight={weight}\n")
    assert over(tmp_path, run=systemctl).owner("/system.slice/db.service") == UnitWeight("db.service", value)
    assert systemctl.asked == [["systemctl", "show", "--property=ControlGroup,CPUWeight", "--", "db.service"]]


@pytest.mark.parametrize(
    ("cgroup", "systemctl"),
    [
        ("/plain/group", Systemctl()),
        ("/delegated/db.service", Systemctl("ControlGroup=/system.slice/db.service\nCPUWeight=5\n")),
        ("/system.slice/db.service", Systemctl("ControlGroup=\nCPUWeight=[not set]\n")),
        ("/system.slice/db.service", Systemctl(code=1, errors="Failed to connect to bus")),
        ("/system.slice/db.service", None),
    ],
)
def test_what_is_not_systemds_is_written_as_a_file(tmp_path: Path, cgroup: str, systemctl: Systemctl | None) -> None:
    assert over(tmp_path, run=systemctl).owner(cgroup) is None


def test_a_pods_slice_under_the_systemd_driver_is_systemds(tmp_path: Path) -> None:
    cgroup = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"
    systemctl = Systemctl(f"ControlGroup={cgroup}\nCPUShares=102\n")
    assert over(tmp_path, version=1, run=systemctl).owner(cgroup) == UnitWeight("kubepods-burstable-pod1_2.slice", 102)


@pytest.mark.parametrize(("version", "value", "text"), [(2, 931, "CPUWeight=931"), (1, None, "CPUShares=")])
def test_units_are_set_until_the_next_boot(tmp_path: Path, version: int, value: int | None, text: str) -> None:
    (tmp_path / "u.service").mkdir()
    systemctl = Systemctl()
    over(tmp_path, version, systemctl).write_unit("/u.service", "u.service", value, 5)
    assert systemctl.asked == [["systemctl", "set-property", "--runtime", "--", "u.service", text]]


def test_systemds_refusal_is_told_in_its_own_words(tmp_path: Path) -> None:
    systemctl = Systemctl(code=1, errors="Failed to set unit properties: Interactive authentication required.\n")
    with pytest.raises(OSError, match="Interactive authentication required"):
        over(tmp_path, run=systemctl).write_unit("/u.service", "u.service", 5, 5)


def test_a_command_that_is_not_there_is_an_answer() -> None:
    assert run_command(["gthulhu-no-such-program"]).code == 127
    assert run_command([sys.executable, "-c", "print(1)"]) == Completed(0, "1\n", "")
