"""What the agent costs its node: memory, start, taking up its work after a restart, and a Decision Maker's calls.

    benchmarks/agent.py [--write] [--pods 1000] [--threads 10] [--intents 100000] [--rounds 5]

Real, sleeping processes stand in kubepods cgroups (root and a writable hierarchy are needed). The agent and the plain
server of ``agent_plain.py`` take turns; each is a process of its own that is started anew every round and holds one
intent for every pod. Both run as on a node: their bytecode is compiled before.

start
    from the start of the process until it answers
resolved
    in a fresh process: find every thread and say which intent takes it
first pass
    the same, and read from the kernel what each thread has, and set what differs; the agent's own figure
ready
    from the start of the process until everything is enforced
memory
    resident, after the first pass and two more; then at its highest while the large set was taken
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent_process import AGENT, PLAIN, Server, environment, started
from discovery import hierarchies, running
from report import Section, facts, finish, options, ratio, spread, table

from gthulhu_agent.discovery.layout import LayoutError
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.enforcing.matching import bind
from gthulhu_wire.documents import read_desired
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, ordered

START_AIM, RESOLVED_AIM, MEMORY_AIM = 0.5, 0.5, 80.0
PROCESSES_A_POD = 2
POLICIES = 20
OURS, PLAIN_ONE = "gthulhu-agent", "plain server"
_OFTEN, _SELDOM = 0.005, 0.05
_SETTLE = 5.0
"""Seconds: the first pass and, at the agent's default interval, two more."""
_SUM = re.compile(rb"^gthulhu_agent_pass_duration_seconds_(sum|count) ([0-9.e+-]+)$", re.MULTILINE)
_LABELS = {
    "start": ("start, s", 2),
    "start_cpu": ("its CPU, s", 2),
    "resolved": ("resolved, s", 2),
    "first": ("first pass, s", 2),
    "ready": ("ready, s", 2),
    "memory": ("memory, MB", 1),
    "cpu": ("CPU until ready, s", 2),
}
_CALLS = {
    "post": ("POST intents, s", 2),
    "strategies": ("GET strategies, s", 2),
    "large": ("POST of the large set, s", 2),
    "highest": ("memory at its highest, MB", 0),
    "after": ("memory after it, MB", 0),
}


@dataclass
class Figures:
    """What the rounds of one server came to, by name."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        """One round's."""
        for name, value in values.items():
            self.of.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Bench:
    """One run: how large, and where its files are."""

    folder: Path
    pods: int
    intents: int
    threads: int

    def command(self, who: str) -> tuple[list[str], Path]:
        """How ``who`` is started, and the socket that it will listen on."""
        path = self.folder / f"{who.partition(' ')[0]}.sock"
        if who == PLAIN_ONE:
            path.unlink(missing_ok=True)
            return [*PLAIN, str(path), str(self.folder / "intents.json")], path
        enforcer = "eevdf" if os.geteuid() == 0 else "none"
        state, lock = str(self.folder / "state"), str(self.folder / "lock/enforcer.lock")
        arguments = ["--state-dir", state, "--enforcer-lock", lock, "--enforcer", enforcer, "--listen", f"unix:{path}"]
        return [*AGENT, *arguments], path

    @contextmanager
    def server(self, who: str) -> Iterator[Server]:
        """``who``, from its start to its end."""
        command, path = self.command(who)
        with started(command, path, environment(self.folder)) as one:
            yield one

    def uid(self, number: int) -> str:
        """Of a pod: those below ``pods`` run here, see ``discovery.start``."""
        return f"00000000-0000-0000-0000-{number:012x}"

    def desired(self) -> bytes:
        """One intent for each pod, of a few policies, half of them by command."""
        terms = [
            Terms(
                PolicyRef("bench", f"policy-{number}"), Schedule(number - 5), command="^python" if number % 2 else None
            )
            for number in range(POLICIES)
        ]
        intents = ordered(
            Intent(terms[number % POLICIES], 0, PodRef("bench", f"pod-{number}", self.uid(number)))
            for number in range(self.pods)
        )
        return json.dumps(DesiredSet("bench", 0, 1, intents).as_json()).encode()

    def received(self, count: int) -> list[dict[str, object]]:
        """As a Manager sends them; those above ``pods`` are for pods that do not run here."""
        return [
            {
                "podName": f"pod-{number}",
                "podID": self.uid(number),
                "nodeID": "bench",
                "k8sNamespace": "bench",
                "commandRegex": "^python" if number % 2 else "",
                "priority": number % POLICIES,
                "executionTime": 5_000_000,
                "podLabels": {"app": f"app-{number % POLICIES}"},
            }
            for number in range(count)
        ]


def main() -> int:
    """Measure, print, and say by the exit code whether the aims were met."""
    parser = options(__doc__)
    parser.add_argument("--pods", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=10, help="of each pod, in two processes")
    parser.add_argument("--intents", type=int, default=100_000, help="in the large set; 0 leaves the calls out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resolve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.resolve:
        return resolve(asked.resolve)
    known = facts(asked)
    try:
        layouts = hierarchies()
    except LayoutError as error:
        sys.exit(f"{error}; nothing to measure")
    folder = Path(tempfile.mkdtemp(prefix="gthulhu-bench-"))
    bench = Bench(folder, asked.pods, asked.intents, asked.threads)
    found = {OURS: Figures(), PLAIN_ONE: Figures()}
    try:
        with running(layouts, asked.pods * PROCESSES_A_POD, asked.pods, asked.threads // PROCESSES_A_POD):
            warm_up(bench)
            for number in range(asked.rounds):
                for who in (OURS, PLAIN_ONE) if number % 2 == 0 else (PLAIN_ONE, OURS):
                    measure(bench, who, found[who])
            for who in (OURS, PLAIN_ONE) if asked.intents else ():
                calls(bench, who, found[who])
    finally:
        shutil.rmtree(folder)
    finish(asked, section(bench, found), known)
    return verdict(found[OURS])


def warm_up(bench: Bench) -> None:
    """Compile both, and leave the agent what it will hold."""
    (bench.folder / "intents.json").write_text(json.dumps(bench.received(bench.pods)))
    with bench.server(OURS) as agent:
        agent.until("/v1/ready", _SELDOM)
        desired = bench.desired()
        (bench.folder / "desired.json").write_bytes(desired)
        agent.timed("PUT", "/v1/desired", desired)
        time.sleep(_SETTLE)
    with bench.server(PLAIN_ONE) as plain:
        plain.until("/v1/ready", _SELDOM)


def measure(bench: Bench, who: str, figures: Figures) -> None:
    """One round of one server."""
    with bench.server(who) as one:
        start, start_cpu = one.until("/v1/health", _OFTEN), one.cpu()
        ready = one.until("/v1/ready", _SELDOM)
        cpu = one.cpu()
        if who == PLAIN_ONE:
            figures.add(resolved=json.loads(one.call("GET", "/v1/ready")[1])["seconds"])
        else:
            figures.add(first=first_pass(one))
        time.sleep(_SETTLE)
        figures.add(start=start, start_cpu=start_cpu, ready=ready, cpu=cpu, memory=one.memory("VmRSS"))
    if who == OURS:
        figures.add(resolved=resolved_alone(bench))


def resolved_alone(bench: Bench) -> float:
    """Seconds, in a process of its own: what the agent does from knowing nothing of the host, without the kernel."""
    command = [sys.executable, __file__, "--resolve", str(bench.folder / "desired.json")]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(bench.folder))
    return float(done.stdout)


def resolve(file: Path) -> int:
    """The process of :func:`resolved_alone`."""
    intents = read_desired(json.loads(file.read_bytes())).intents
    begun = time.perf_counter()
    bindings = bind(intents, Discovery().scan(), protected_units=(), self_pid=os.getpid(), now=int(time.time()))
    print(time.perf_counter() - begun)
    return 0 if len(bindings) >= len(intents) else 1


def first_pass(agent: Server) -> float:
    """Seconds of the one pass that has ended so far."""
    told = {name: float(value) for name, value in _SUM.findall(agent.call("GET", "/metrics")[1])}
    if told[b"count"] != 1:
        sys.exit("the first pass was missed: a second one had ended before it was asked for")
    return told[b"sum"]


def calls(bench: Bench, who: str, figures: Figures) -> None:
    """A Decision Maker's calls, with as many pods as run and then with the large set."""
    small, large = (json.dumps({"intents": bench.received(count)}).encode() for count in (bench.pods, bench.intents))
    with bench.server(who) as one:
        one.until("/v1/ready", _SELDOM)
        query = "?adopt=true" if who == OURS else ""
        for _ in range(3):
            figures.add(post=one.timed("POST", f"/api/v1/intents{query}", small)[0])
            time.sleep(_SETTLE if who == OURS else 0)
            seconds, answer = one.timed("GET", "/api/v1/scheduling/strategies")
            told = len(json.loads(answer)["scheduling"])
            if told < bench.pods * bench.threads:  # one more where the process that started them is in the last pod
                sys.exit(f"{who}: {told} strategies for {bench.pods * bench.threads} threads")
            figures.add(strategies=seconds)
        figures.add(large=one.timed("POST", "/api/v1/intents", large)[0])
        time.sleep(2 * _SETTLE)
        figures.add(highest=one.memory("VmHWM"), after=one.memory("VmRSS"))


def section(bench: Bench, found: dict[str, Figures]) -> Section:
    """The page's."""
    ours, plain = found[OURS].of, found[PLAIN_ONE].of

    def rows(labels: dict[str, tuple[str, int]]) -> list[tuple[str, ...]]:
        return [
            (
                text,
                spread(ours[name], digits),
                *((spread(plain[name], digits), ratio(plain[name], ours[name])) if name in plain else ("", "")),
            )
            for name, (text, digits) in labels.items()
            if name in ours
        ]

    heads = ("", OURS, PLAIN_ONE, "ratio")
    return Section(
        "bench-agent",
        "The agent on its node",
        (
            f"""
            {bench.pods:,} pods with {bench.threads} sleeping threads each, one intent for every pod, half of them by
            command; {"enforced through EEVDF" if os.geteuid() == 0 else "measured only, without root"}. Beside it the
            server that one would write first (an `aiohttp` application that keeps nothing, checks nothing, walks over
            `/proc` and sets nice values), in turn with it. Medians, lowest and highest behind them; the ratio is the
            plain server's to ours, above 1 where ours is the smaller.
            """,
            f"""
            *start*: from the start of the process until it answers, at most {START_AIM:g} s wanted. *resolved*: every
            thread found and given its intent by a process that knew nothing, at most {RESOLVED_AIM:g} s wanted. *first
            pass*: that, and what the kernel has for each thread read and set where it differs. *ready*: from the start
            until all is enforced. *memory*: at most {MEMORY_AIM:g} MB wanted.
            """,
            table(heads, rows(_LABELS)),
            f"A Decision Maker's calls: {bench.pods:,} intents, all strategies, then a set of {bench.intents:,}.",
            table(heads, rows(_CALLS)),
        ),
    )


def verdict(figures: Figures) -> int:
    """0 where every aim was met, by the medians."""
    missed = [
        f"{name}: {statistics.median(figures.of[name]):.2f}, at most {aim:g} was wanted"
        for name, aim in (("start", START_AIM), ("resolved", RESOLVED_AIM), ("memory", MEMORY_AIM))
        if statistics.median(figures.of[name]) > aim
    ]
    for one in missed:
        print(one, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
