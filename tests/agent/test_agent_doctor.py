"""What ``gthulhu-agent doctor`` makes of what was found: lines for people, a list for programs, and a verdict."""

from __future__ import annotations

import json

import pytest

from gthulhu_agent.diagnosis import as_json, as_text, sound
from gthulhu_agent.doctor import Check

NODE = Check("cgroups", ok=True, why="v2")
BLIND = Check("cgroups", ok=False, why="no cgroups", cure="mount them")
SLICE = Check("custom-slice", ok=True, why="kept", needed_for="eevdf")
NO_NICE = Check("nice", ok=False, why="cannot be put back", cure="give it CAP_SYS_NICE", needed_for="eevdf")
HEARS = Check("events-bpf", ok=True, why="tells", needed_for="events")
DEAF = Check("events-bpf", ok=False, why="not allowed", needed_for="events")
NO_SCX = Check("sched_ext", ok=False, why="not in this kernel", cure="Linux 6.12", needed_for="sched_ext")


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ((NODE, SLICE, NO_SCX), True),
        ((NODE, SLICE, NO_NICE, NO_SCX), False),
        ((BLIND, SLICE), False),
        ((NODE, NO_SCX), False),
        ((NODE, SLICE, DEAF), True),
        ((NODE, NO_SCX, HEARS), False),
    ],
)
def test_one_whole_enforcer_and_a_view_of_the_node_are_sound(checks: tuple[Check, ...], verdict: bool) -> None:
    assert sound(checks) is verdict


def test_people_read_the_cure_under_what_is_missing() -> None:
    assert as_text((NODE, SLICE, NO_NICE), colour=False).splitlines() == [
        "this node:",
        "  ok       cgroups       v2",
        "for eevdf:",
        "  ok       custom-slice  kept",
        "  missing  nice          cannot be put back",
        "                         cure: give it CAP_SYS_NICE",
    ]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31mmissing" in as_text((NO_NICE,), colour=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in as_text((NO_NICE,), colour=True)


def test_programs_read_a_list() -> None:
    assert json.loads(as_json((NO_NICE,))) == [
        {
            "name": "nice",
            "ok": False,
            "why": "cannot be put back",
            "cure": "give it CAP_SYS_NICE",
            "needed_for": "eevdf",
        }
    ]
