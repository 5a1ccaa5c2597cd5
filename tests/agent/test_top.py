"""``gthulhu-agent top``: rates out of counters, a table that fits, and a terminal that is left as it was."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gthulhu_agent.asking import Agent, Keys, find
from gthulhu_agent.errors import AgentError, UsageError
from gthulhu_agent.top.answers import Answer, Counted, Pod, Thread, parse
from gthulhu_agent.top.following import Asker, looks
from gthulhu_agent.top.rates import Rates, Sort, pod_rows, thread_rows, total
from gthulhu_agent.top.table import render

SECOND = 1_000_000_000


def pod(name: str, cpu: float = 0, wait: float = 0, runs: int = 0, **more: Any) -> Pod:  # noqa: ANN401 - of Pod
    counted = Counted(int(cpu * SECOND), int(wait * SECOND), runs, switches=2 * runs)
    return replace(Pod(f"uid-{name}", "default", name, 1, 2, counted, ()), **more)


def answer(clock: float, *pods: Pod, **more: Any) -> Answer:  # noqa: ANN401 - of Answer
    return replace(Answer("node-1", "eevdf", clock, 0, pods), **more)


def shown(
    before: Answer | None, now: Answer, sort: Sort = Sort.CPU, height: int | None = None, width: int = 200
) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(render(before, now, sort, height))
    return out.getvalue()


def test_rates_are_what_happened_between_two_answers() -> None:
    before, now = answer(10, pod("web", 1, 2, 100)), answer(12, pod("web", 2, 2.5, 600))
    (row,) = pod_rows(before, now, Sort.CPU)
    assert row.rates == Rates(cpu=0.5, wait=0.25, delay=0.001, switches=500)
    assert total([row]) == Rates(cpu=0.5, wait=0.25, delay=None, switches=500)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (None, "there was no look before"),
        (answer(10), "the pod is new"),
        (answer(12, pod("web")), "nothing was read meanwhile"),
        (answer(10, pod("web", 9, runs=9)), "the agent was restarted"),
    ],
)
def test_there_are_no_rates_without_two_looks(before: Answer | None, why: str) -> None:
    (row,) = pod_rows(before, answer(12, pod("web", 2, runs=8)), Sort.CPU)
    assert row.rates is None, why


def test_a_pod_that_did_not_run_has_no_delay() -> None:
    (row,) = pod_rows(answer(1, pod("web")), answer(2, pod("web")), Sort.DELAY)
    assert row.rates == Rates(0, 0, None, 0)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (Sort.CPU, ["a", "b", "c"]),
        (Sort.WAIT, ["c", "a", "b"]),
        (Sort.DELAY, ["b", "c", "a"]),
        (Sort.THREADS, ["c", "b", "a"]),
        (Sort.NAME, ["a", "b", "c"]),
    ],
)
def test_rows_are_sorted_by_what_is_asked_for(sort: Sort, order: list[str]) -> None:
    before = answer(1, pod("a"), pod("b"), pod("c"))
    now = answer(2, pod("a", 3, 2, 100, threads=1), pod("b", 2, 1, 5, threads=2), pod("c", 1, 3, 100, threads=3))
    assert [row.pod.name for row in pod_rows(before, now, sort)] == order


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), st.sampled_from(Sort))
def test_sorting_loses_nobody_and_is_the_same_each_time(values: list[tuple[int, int]], sort: Sort) -> None:
    pods = [pod(f"p{number}", cpu, wait, 1) for number, (cpu, wait) in enumerate(values)]
    before = answer(1, *(pod(one.name) for one in pods))
    one, other = (pod_rows(before, answer(2, *given), sort) for given in (pods, pods[::-1]))
    assert [row.pod for row in one] == [row.pod for row in other]
    assert {row.pod.uid for row in one} == {one.uid for one in pods}


def test_a_pod_is_shown_with_what_takes_it() -> None:
    held = ((3, "latency", 100_000, True), (1, "batch", None, False), (0, "normal", None, False))
    text = shown(answer(1, pod("web", held=held)), answer(2, pod("web", 0.5, 0.002, 4, held=held)))
    line = next(line for line in text.splitlines() if "default/web" in line)
    assert " ".join(line.split()) == "default/web 1 2 latency +1 0.1 ms 1 of 2 50.0 2.0 500 us 8"
    assert "node-1  enforcer eevdf  pods 1" in text


def test_threads_are_shown_with_what_the_kernel_says() -> None:
    thread = Thread(7, 8, "worker", Counted(0, 0, 0, 0), "default/fast", "latency", "OTHER +0", 3_000_000)
    text = shown(None, answer(1, pod("web"), threads=(thread,), threads_left_out=3))
    line = next(line for line in text.splitlines() if "worker" in line)
    assert " ".join(line.split()) == "worker 8 7 latency 3 ms OTHER +0 default/fast - - - -"
    assert "and 3 more" in text
    (row,) = thread_rows(None, answer(1, pod("web"), threads=(thread,)), Sort.NAME)
    assert row.rates is None


def test_what_does_not_fit_is_said() -> None:
    text = shown(None, answer(1, *(pod(f"p{number:03}") for number in range(100)), left_out=5), height=24)
    assert text.count("default/p") == 19
    assert "and 86 more" in text
    assert text.count("\n") <= 24


@pytest.mark.parametrize("width", [20, 40, 80])
def test_narrow_terminals_get_whole_lines(width: int) -> None:
    text = shown(None, answer(1, pod("a-name-that-is-longer-than-the-terminal-is-wide")), width=width)
    assert all(len(line) <= width for line in text.splitlines())


def usage(**more: object) -> dict[str, Any]:
    counts = {"cpu": 1, "wait": 2, "runs": 3, "voluntary": 4, "involuntary": 5, "migrations": 6}
    one = {"uid": "u", "namespace": "default", "name": "web", "processes": 1, "threads": 1, "intents": []}
    head = {"node": "n", "enforcer": "none", "clock": 1.5, "leftOut": 0}
    return {**head, "pods": [{**one, "counts": counts}], **more}


def test_a_thread_cannot_write_on_the_terminal() -> None:
    counts = {"cpu": 1, "wait": 2, "runs": 3, "voluntary": 4, "involuntary": 5}
    thread = {"pid": 1, "tid": 1, "name": "\x1b]0;x\x07\r", "counts": counts, "winner": None, "class": None}
    parsed = parse(usage(threads=[{**thread, "kernel": None}]))
    assert "\x1b" not in shown(None, parsed)
    assert "\x07" not in shown(None, parsed)


def test_an_agent_cannot_write_on_the_terminal() -> None:
    escape, counts = "\x1b]0;x", {"cpu": 1, "wait": 2, "runs": 3, "voluntary": 4, "involuntary": 5}
    held = {"threads": 1, "class": escape, "effective": None, "enforced": True}
    one = {
        "uid": escape,
        "namespace": "",
        "name": "",
        "processes": 1,
        "threads": 1,
        "intents": [held],
        "counts": counts,
    }
    kernel = {"policy": escape, "nice": 0}
    thread = {"pid": 1, "tid": 1, "name": "", "counts": counts, "winner": None, "class": escape, "kernel": kernel}
    head = usage(node=escape, enforcer=escape, pods=[one])
    for value in (head, {**head, "threads": [thread]}):
        assert "\x1b" not in shown(None, parse(value))


def test_a_node_that_was_started_anew_is_followed_on() -> None:
    """Its clock begins anew too, and the table stood still until that was where it had been."""
    former, now, anew = answer(1000.0), answer(1002.0), answer(5.0)
    assert looks(former, now, now) == (former, now)
    assert looks(former, now, anew) == (None, anew)
    assert looks(None, anew, replace(anew, clock=7.0)) == (anew, replace(anew, clock=7.0))


@pytest.mark.parametrize("value", [{}, {"node": "n"}, usage(pods=[{}]), usage(pods=3), usage(clock=None)])
def test_what_is_no_answer_is_an_error(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an answer"):
        parse(value)


class _Says(Agent):
    def __init__(self, value: dict[str, object]) -> None:
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "name", "the agent")
        object.__setattr__(self, "paths", [])

    def get(self, path: str) -> dict[str, object]:
        self.paths.append(path)  # type: ignore[attr-defined] # set above
        return self.value  # type: ignore[attr-defined, no-any-return] # set above


def test_a_pod_is_asked_for_by_its_uid() -> None:
    agent = _Says(usage())
    Asker(agent, "default/web").ask()
    Asker(agent, "a&b").ask()
    assert agent.paths == ["/v1/usage", "/v1/usage?pod=u", "/v1/usage?pod=a%26b"]  # type: ignore[attr-defined] # above
    with pytest.raises(AgentError, match="no pod of this name"):
        Asker(agent, "default/other")
    with pytest.raises(AgentError, match="not an answer"):
        Asker(_Says({}), None).ask()


@pytest.mark.parametrize("url", ["ftp://x", "http://", "127.0.0.1:80", "http://h:99999", "http://h/v1", "http://u@h"])
def test_what_is_no_address_of_an_agent_is_refused(url: str, tmp_path: Any) -> None:  # noqa: ANN401 - pathlib.Path
    with pytest.raises(UsageError, match="--url"):
        find(url, Keys(), tmp_path)
