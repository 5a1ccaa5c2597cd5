"""bpf/tracer.h, read as text, and its readers in Python say the same."""

from __future__ import annotations

import re
from pathlib import Path

from gthulhu_agent.discovery.events.event import Kind, Watch
from gthulhu_agent.discovery.events.tracer import RECORD, WATCH, Budget, Counted

BPF = Path(__file__).resolve().parents[2] / "bpf"
HEADER = re.sub(r"/\*.*?\*/", "", (BPF / "tracer.h").read_text(), flags=re.DOTALL)
LETTERS = {"__u32": "I", "__u64": "Q"}


def enumerators(name: str, prefix: str) -> dict[str, int]:
    body = re.search(rf"enum {name} {{(.*?)}};", HEADER, re.DOTALL)
    assert body, name
    return {found[1]: int(found[2]) for found in re.finditer(rf"{prefix}(\w+) = (\d+)", body[1])}


def layout(name: str) -> str:
    body = re.search(rf"struct {name} {{(.*?)}};", HEADER, re.DOTALL)
    assert body, name
    return "=" + "".join(LETTERS[kind] for kind in re.findall(r"(__u\d+) \w+;", body[1]))


def test_kinds_are_the_same() -> None:
    assert enumerators("tracer_kind", "TRACER_") == {kind.name: kind.value for kind in Kind}


def test_flags_are_the_same() -> None:
    assert enumerators("tracer_flag", "TRACER_WATCH_") == {flag.name: flag.value for flag in Watch}


def test_counters_are_the_same() -> None:
    assert enumerators("tracer_counter", "TRACER_") == {counted.name: counted.value for counted in Counted}


def test_records_and_values_lie_alike() -> None:
    assert layout("tracer_event") == RECORD.format
    assert layout("tracer_watch") == WATCH.format


def test_defaults_of_the_budget_are_the_same() -> None:
    program = (BPF / "tracer.bpf.c").read_text()
    assert f"window_budget = {Budget().events};" in program
    assert f"window_births = {Budget().births};" in program
    assert f"window_length_ns = {int(Budget().window * 1e9)};" in program
