"""What a Decision Maker tells of pods, under its names, and what we tell of them under ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from agent_harness import FakeScanner, Harness, desired, intent, running
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from usage_world import FakeReader, myself, pods, process

from gthulhu_agent.clock import Clock
from gthulhu_agent.discovery.events.event import Batch, Events, Kind, Tally, Watch
from gthulhu_agent.discovery.snapshot import Snapshot, TaskId
from gthulhu_agent.legacy.metricset import MetricSet, MetricSets
from gthulhu_agent.legacy.received import Received, ReceivedIntent
from gthulhu_agent.metrics.events import EventsCollector
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.metrics.logins import LoginCollector
from gthulhu_agent.metrics.pods import LABELS, UPSTREAM, UPSTREAM_LABELS, ManagedPods
from gthulhu_agent.metrics.scheduler import GAUGES
from gthulhu_agent.quickpass import QuickTally
from gthulhu_agent.state import Held
from gthulhu_agent.tokens.values import LoginFault, LoginTally
from gthulhu_agent.usage.counts import Counts
from gthulhu_agent.usage.ledger import Ledger
from gthulhu_agent.usage.meter import Meter

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """Every sample; one that is there twice fails."""
    found: dict[Sample, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


async def scrape(agent: Harness) -> str:
    async with agent.session.get(f"{agent.url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def measured(agent: Harness) -> dict[Sample, float]:
    """A page that is younger than the last pass."""
    await agent.next_pass()
    await asyncio.sleep(0.6)  # more often than that nothing is read, whoever asks
    await agent.get("/v1/usage")
    return samples(await scrape(agent))


def of_pods(found: dict[Sample, float]) -> Iterator[Sample]:
    return (key for key in found if key[0].startswith(("gthulhu_pod_", "gthulhu_agent_pod_")))


async def test_w15_two_intents_for_one_pod_are_one_series(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(myself())) as agent:
        await agent.put(desired(1, intent("web"), intent("db")))
        found = await measured(agent)
        upstream = frozenset(
            {"pod_name": "pod-uid-1", "pod_uid": "uid-1", "namespace": "default", "node_name": "node-1"}.items()
        )
        ours = frozenset({"namespace": "default", "pod": "pod-uid-1", "uid": "uid-1"}.items())
        assert found["gthulhu_pod_process_count", upstream] == 1
        assert found["gthulhu_pod_cpu_time_nanoseconds_total", upstream] > 0
        assert found["gthulhu_agent_pod_cpu_seconds_total", ours] > 0
        assert found["gthulhu_agent_pod_intents", ours] == 2
        assert {key[0] for key in of_pods(found) if key[1] == upstream} == {
            "gthulhu_pod_process_count",
            *(f"{name}_total" for name in UPSTREAM),
        }


async def test_series_vanish_with_their_pod_and_ours_are_for_pods_without_intents_too(tmp_path: Path) -> None:
    scanner = FakeScanner(myself())
    async with running(tmp_path, scanner=scanner) as agent:
        found = await measured(agent)
        assert {key[0].split("_pod_")[0] for key in of_pods(found)} == {"gthulhu_agent"}
        scanner.snapshot = Snapshot(())
        assert list(of_pods(await measured(agent))) == []


async def test_a_scrape_reads_nothing_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(myself())) as agent:
        await agent.get("/v1/usage")
        before = agent.service._meter.tally.readings
        for _ in range(20):
            await scrape(agent)
        assert agent.service._meter.tally.readings - before <= 1


def test_a_node_is_called_what_its_intent_s_sender_calls_it() -> None:
    one = intent("web")
    held = Held(intents=(one,), since=(0,), received=Received((ReceivedIntent(pod_id="uid-1", node_id="k8s-node"),)))
    assert ManagedPods().of(held, "host")["uid-1"].node == "k8s-node"
    assert ManagedPods().of(replace(held, received=None), "host")["uid-1"].node == "host"


def meter_of(ledger: Ledger, snapshot: Snapshot) -> Meter:
    async def in_thread(call: object) -> bool:
        assert callable(call)
        return bool(call())

    clock = Clock()
    return Meter(
        ledger,
        in_thread=in_thread,
        snapshot=lambda: snapshot,
        managed=lambda: (),
        monotonic=clock.monotonic,
        wall=clock.wall,
    )


async def test_help_types_and_labels_are_those_that_dashboards_know(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(myself())) as agent:
        await agent.put(desired(1, intent("web")))
        await measured(agent)
        text = await scrape(agent)
    for name, (told, _) in UPSTREAM.items():
        assert f"# HELP {name}_total {told}\n# TYPE {name}_total counter\n{name}_total{{" in text
    assert "# HELP gthulhu_pod_process_count Number of tracked processes in a pod\n" in text
    assert "# TYPE gthulhu_pod_process_count gauge\n" in text


class _Hearing:
    name, precise = "bpf", True

    def fileno(self) -> int:
        return -1

    def watch(self, cgroups: Mapping[int, Watch]) -> None:
        """Nothing."""

    def read(self) -> Batch:
        return Batch()

    def tally(self) -> Tally:
        return Tally({Kind.EXEC: 3}, lost=1, held_back=2)

    def close(self) -> None:
        """Nothing."""


@dataclass
class _Engine:
    events: Events | None
    quick: QuickTally = field(default_factory=lambda: QuickTally(passes=4, hastened=5))


def told(collector: EventsCollector | LoginCollector) -> dict[Sample, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return samples(generate_latest(registry).decode())


def test_events_are_told_by_kind_and_not_forgotten_when_they_break_off() -> None:
    engine = _Engine(_Hearing())
    collector = EventsCollector(engine)
    found = told(collector)
    engine.events = None
    for page, source in ((found, "bpf"), (told(collector), "none")):
        assert page["gthulhu_agent_events_total", frozenset({("kind", "exec")})] == 3
        assert page["gthulhu_agent_events_total", frozenset({("kind", "crowded")})] == 0
        assert page["gthulhu_agent_events_lost_total", frozenset()] == 1
        assert page["gthulhu_agent_events_held_back_total", frozenset()] == 2
        assert page["gthulhu_agent_quick_threads_set_total", frozenset()] == 5
        assert page["gthulhu_agent_events_source_info", frozenset({("source", source)})] == 1


@dataclass
class _Tls:
    ends_at: int = 2_000_000_000
    reloads: int = 3


def test_logins_are_told_before_there_are_any_and_the_certificate_s_end() -> None:
    tally = LoginTally()
    collector = LoginCollector(tally, _Tls())  # type: ignore[arg-type] # what it needs of it
    assert told(collector)["gthulhu_agent_logins_refused_total", frozenset({("why", "replayed")})] == 0
    tally.refused[LoginFault.REPLAYED.value] += 1
    tally.issued["assertion"] += 2
    found = told(collector)
    assert found["gthulhu_agent_logins_refused_total", frozenset({("why", "replayed")})] == 1
    assert found["gthulhu_agent_tokens_issued_total", frozenset({("proof", "assertion")})] == 2
    assert found["gthulhu_agent_certificate_expiry_timestamp_seconds", frozenset()] == 2_000_000_000
    assert found["gthulhu_agent_certificate_reloads_total", frozenset()] == 3


async def test_what_a_scheduler_reports_is_told_from_its_first_report_on() -> None:
    reports, metrics = MetricSets(), Metrics()
    metrics.watch_reports(reports, "0123")
    assert "nr_queued" not in (await metrics.render(""))[0].decode()
    reports.take(MetricSet(usersched_last_run_at=1_700_000_000, nr_queued=7), 1000)
    text = (await metrics.render(""))[0].decode()
    assert 'nr_queued{machine_id="0123"} 7.0' in text
    assert "# HELP user_sched_last_run_at the timestamp of the last user scheduling run\n" in text
    assert 'user_sched_last_run_at{machine_id="0123"} 1.7e+09' in text
    for name, told in GAUGES.values():
        assert f"# HELP {name} {told}\n# TYPE {name} gauge\n{name}{{" in text


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_a_thousand_pods_are_a_page(tmp_path: Path, accept: str) -> None:
    many = {f"uid-{number}": (process(number + 1),) for number in range(1001)}
    reader = FakeReader({TaskId(number + 1, 7): Counts(*range(1, 7)) for number in range(1001)})
    meter = meter_of(Ledger(reader), pods(**many))
    await meter.fresh()
    async with running(tmp_path) as agent:
        metrics = Metrics()
        metrics.watch_usage(agent.service.agent, meter)
        text = (await metrics.render(accept))[0].decode()
    assert len(re.findall(r"^gthulhu_agent_pod_runs_total\{", text, re.MULTILINE)) == 1000
    assert "gthulhu_agent_usage_pods_left_out 1.0" in text


class _TlsAlone(LoginCollector):
    def __init__(self) -> None:
        super().__init__(LoginTally(), _Tls())  # type: ignore[arg-type] # what it needs of it

    def collect(self) -> Iterator[Metric]:
        """What an agent without TLS does not tell."""
        return (family for family in super().collect() if family.name.startswith("gthulhu_agent_certificate"))


async def test_every_metric_has_its_line_and_no_other_has(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(myself())) as agent:
        await agent.put(desired(1, intent("web")))
        await measured(agent)
        metrics = agent.service._handlers._metrics
        agent.service.decisions.metric_sets.take(MetricSet(), 0)
        metrics._registry.register(_TlsAlone())
        text = await scrape(agent)
    found = {name for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE) if not name.endswith("_created")}
    found = {name for name in found if "_agent_process_" not in name}
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    first = [line.split(" | ")[0] for line in lines]
    lines_of = {name: labels for cell in first for name, labels in re.findall(r"`(\w+)(?:\{([^}]+)\})?`", cell)}
    assert lines_of.keys() == found
    for name, labels in lines_of.items():
        if name.startswith("gthulhu_pod_"):
            assert tuple(labels.split(",")) == UPSTREAM_LABELS
        if name.startswith("gthulhu_agent_pod_"):
            assert tuple(labels.split(","))[:3] == LABELS
