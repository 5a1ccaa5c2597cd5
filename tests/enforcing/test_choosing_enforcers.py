"""Which enforcer comes of which name, and what the host has to say."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, FakeKernel, key, wish

from gthulhu_agent import doctor
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.choose import EnforcerUnavailable, choose
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.measuring import MeasureOnly
from gthulhu_agent.enforcing.sched_attr import Ability


def _refused() -> Ability:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_auto_is_eevdf_where_the_kernel_lets_it_act(tmp_path: Path) -> None:
    assert choose("auto", journal=tmp_path / "journal").name == "eevdf"
    assert choose("none", journal=tmp_path / "journal").name == "none"


def test_auto_only_measures_where_the_kernel_does_not_and_says_why(
    tmp_path: Path, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sched_attr, "ability", _refused)
    enforcer = choose("auto", journal=tmp_path / "journal")
    kernel.spawn(APP, "upf")
    bindings = bind([wish(priority=5)], kernel.snapshot(), protected_units=(), self_pid=-1, now=0)
    state = enforcer.apply(bindings).intents[key()]
    assert enforcer.name == "none"
    assert "Operation not permitted" in state.refused[0].why
    with pytest.raises(EnforcerUnavailable, match="not permitted") as failure:
        choose("eevdf", journal=tmp_path / "journal")
    assert failure.value.cure


def test_an_unknown_enforcer_is_named_with_the_known() -> None:
    with pytest.raises(EnforcerUnavailable, match="'sched_ext'") as failure:
        choose("sched_ext", journal=Path("unused"))
    assert "eevdf" in failure.value.cure


def test_measuring_changes_nothing_and_names_the_threads(kernel: FakeKernel) -> None:
    tid = kernel.spawn(APP, "upf")
    enforcer = MeasureOnly()
    intents = [wish("bad", command="("), wish("good", rank=1, priority=10)]
    applied = enforcer.apply(bind(intents, kernel.snapshot(), protected_units=(), self_pid=-1, now=0))
    good, bad = applied.intents[key("good")], applied.intents[key("bad")]
    assert (good.threads, good.enforced, good.effective) == (1, False, None)
    assert [thread.tid for thread in good.sample] == [tid]
    assert [refused.what for refused in bad.refused] == ["priority", "pattern"]
    assert (enforcer.revert(), enforcer.stats().applies, enforcer.state()) == (0, 1, applied.intents)


def test_the_kernels_no_comes_as_its_number() -> None:
    with pytest.raises(OSError, match="No such process") as failure:
        sched_attr.read(2**22 + 1)
    assert failure.value.errno == errno.ESRCH
    with pytest.raises(OSError, match="Invalid argument"):
        sched_attr.read(-1)


def test_an_architecture_without_known_numbers_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched_attr, "_get_number", 0)
    with pytest.raises(OSError, match="are not known here") as failure:
        sched_attr.read(0)
    assert failure.value.errno == errno.ENOSYS


def test_trying_leaves_the_asking_thread_as_it_was() -> None:
    before = sched_attr.read(0)
    ability = sched_attr.ability()
    assert sched_attr.read(0) == before
    assert ability.custom_slice is (ability.default_slice_ns > 0)


def test_every_complaint_of_the_doctor_has_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched_attr, "ability", lambda: Ability(custom_slice=False, default_slice_ns=0, nice_back=False))
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("NSpid:\t4711\t7\nCapEff:\t0000000000000000\n")
    checks = {check.name: check for check in doctor.examine(tmp_path, tmp_path)}
    # The library and the object of the tracer are this installation's, whatever the host.
    assert {name for name, check in checks.items() if check.ok} - {"libbpf", "bpf-object"} == {"kernel"}
    assert all(check.cure and check.why for check in checks.values() if not check.ok)
    assert "6.12" in checks["custom-slice"].cure
    assert "7 in a namespace 1 below" in checks["pid-namespace"].why


def test_the_doctor_says_which_scheduler_runs(tmp_path: Path) -> None:
    (tmp_path / "kernel/sched_ext/root").mkdir(parents=True)
    (tmp_path / "kernel/sched_ext/state").write_text("enabled\n")
    (tmp_path / "kernel/sched_ext/root/ops").write_text("bpfland_1.1.4\n")
    checks = {check.name: check for check in doctor.examine(sys=tmp_path)}
    assert (checks["sched_ext"].ok, checks["sched_ext"].why) == (True, "enabled by bpfland_1.1.4")


def test_the_doctor_leaves_nothing_behind() -> None:
    checks = {check.name: check for check in doctor.examine()}
    root = next((check.why.split()[1] for check in checks.values() if check.name == "cgroups" and check.ok), None)
    assert checks["kernel"].ok
    assert root is None or not list(Path(root).glob("gthulhu-doctor-*"))
