"""Fuzzes the loading of policies: ``python tests/fuzz_loading.py --seconds 60 [--seed N] [--save FOLDER]``.

Mutated policies go to a process of its own, whose memory may grow by 200 MB and that has a time limit for each input.
What kills it, takes too long, raises, or breaks a promise of the loader is saved, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parent.parent
MEMORY_BYTES = 200 << 20
INPUT_SECONDS = 10.0
"""Wall time for one input. The promise is 2 s of one core; a machine that others share needs room."""

TOKENS = (
    *(b"&a ", b"*a", b"<<: ", b"!!str ", b"!x ", b"? ", b"- ", b": ", b"---\n", b"...\n", b"|\n", b">-\n", b"'", b'"'),
    *(b"[", b"]", b"{", b"}", b"#", b"%YAML 1.1\n", b"%TAG ! tag:x,2000:\n", b"\t", b"\r", b"\x00", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"matchLabels", b"matchExpressions", b"executionTime"),
    *(b"NodeSchedulingPolicy", b"all: true", b"kube-system", b"strategies", b"ExecutionTime"),
)
VALUES = (
    *(b"null", b"~", b"no", b"0777", b"1e999", b".nan", b"9" * 70, b"-1", b"10.0", b"12:30:00", b"(", b"(a*)*"),
    *(b"\\p{Greek}", b"(.{1,1000}){1,1000}", b"'0 0 31 2 *'", b"'*/0 * * * *'", b"'0 0 L * MON#5'", b"'* * * * *'"),
    *(b"Europe/Berlin", b"Europe/Berln", b"../../etc/passwd", b"366d", b"1.5ns", b"1s", b"2026-02-30T00:00:00Z"),
    *(
        b"[]",
        b"{}",
        b"[a]",
        b"{a: b}",
        b"''",
        b"Exists",
        b"In",
        b"Gt",
        b"kube-system",
        b"'*'",
        b"sshd.service",
        b"true",
    ),
)
STRATEGIES = (
    b'{"success":true,"data":{"strategies":[{"ID":"69afe18156b0ab11513bd8f2","StrategyNamespace":"default",'
    b'"LabelSelectors":[{"key":"app","value":"upf"},{"key":"tier","value":""}],"K8sNamespace":["free5gc"],'
    b'"CommandRegex":"upf","Priority":10,"ExecutionTime":20000000}]},"timestamp":"2026-03-10T08:00:00Z"}'
)


@dataclass
class Result:
    """What a run has seen."""

    inputs: int = 0
    valid: int = 0
    slowest: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    failure: str = ""
    saved: Path | None = None


def corpus() -> list[bytes]:
    """Files that the project has anyway, and one strategy list."""
    files = sorted((ROOT / "policies").glob("*.yaml"))
    pieces = [piece for file in files for piece in file.read_bytes().split(b"\n---\n")]
    return [*pieces, *(file.read_bytes() for file in files), STRATEGIES]


def mutate(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One to six changes, from a flipped bit to a megabyte of the same."""
    for _ in range(rng.randint(1, 6)):
        at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        end = min(end, at + rng.choice((1, 4, 16, 200)))
        match rng.randrange(10):
            case 0 if data:
                index = rng.randrange(len(data))
                data = data[:index] + bytes([data[index] ^ 1 << rng.randrange(8)]) + data[index + 1 :]
            case 1:
                data = data[:at] + rng.choice(TOKENS) + data[at:]
            case 2:
                data = data[:at] + rng.choice(TOKENS) + data[end:]
            case 3:
                data = data[:at] + data[end:]
            case 4:
                data = data[:end] + data[at:end] * rng.choice((1, 1, 2, 40)) + data[end:]
            case 5:
                other = rng.choice(seeds)
                data = data[:at] + other[rng.randint(0, len(other)) :]
            case 6 | 7 | 8:
                data = _line_by_line(data, rng)
            case _ if rng.random() < 0.02:
                data = data[:at] + rng.choice(TOKENS) * rng.choice((1_000, 50_000, 400_000)) + data[at:]
            case _:
                pass
    return data[: (1 << 20) + 1]


def _line_by_line(data: bytes, rng: random.Random) -> bytes:
    """A change that leaves the rest of the document as it is, so that what comes after the syntax is reached too."""
    lines = data.splitlines(keepends=True) or [b""]
    index, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines[index], lines[other] = lines[other], lines[index]
        case 1:
            indent = rng.choice((b"  ", b" ", b"- ", b"", b"\t", b"      "))
            lines[index] = indent + lines[index].lstrip()
        case 2:
            lines[index] = lines[index].replace(rng.choice((b"a", b"e", b"i", b"s")), b"", 1)
        case _:
            key, colon, _ = lines[index].partition(b": ")
            lines[index] = key + colon + rng.choice(VALUES) + b"\n"
    return b"".join(lines)


class Worker:
    """The process that loads what it is sent."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )

    def try_it(self, data: bytes) -> dict[str, object]:
        """What came of one input; ``error`` where a promise was broken."""
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise RuntimeError("the worker has no pipes")
        try:
            into.write(struct.pack("<I", len(data)) + data)
            into.flush()
            ready, _, _ = select.select([out], [], [], INPUT_SECONDS)
            line = out.readline() if ready else b""
        except BrokenPipeError:
            ready, line = [out], b""
        if line:
            answer: dict[str, object] = json.loads(line)
            return answer
        if not ready:
            return {"error": f"no answer within {INPUT_SECONDS:g} s"}
        return {"error": f"the process died with {self._process.wait()}"}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def fuzz(seconds: float, seed: int, save: Path, *, most: int | None = None) -> Result:
    """Try inputs for ``seconds``, at most ``most``; the first failure ends it."""
    rng, seeds, result, worker = random.Random(seed), corpus(), Result(), Worker()
    started = time.monotonic()
    try:
        while time.monotonic() - started < seconds and result.inputs != most:
            data = mutate(rng.choice(seeds), seeds, rng)
            before = time.monotonic()
            answer = worker.try_it(data)
            result.slowest = max(result.slowest, time.monotonic() - before)
            result.inputs += 1
            result.failure = str(answer.get("error", ""))
            if result.failure:
                save.mkdir(parents=True, exist_ok=True)
                result.saved = save / f"loading-{hashlib.sha256(data).hexdigest()[:12]}.yaml"
                result.saved.write_bytes(data)
                return result
            codes = answer.get("codes")
            result.codes.update(codes if isinstance(codes, list) else ())
            result.valid += answer.get("policies") != 0
        return result
    finally:
        worker.close()


def work(into: BinaryIO, out: BinaryIO) -> None:
    """Load each input that comes in, and answer in one line."""
    from gthulhu_reconcile.loading.policies import load  # noqa: PLC0415 - the limits below begin after the imports

    load(["-"], stdin=io.BytesIO(corpus()[0]))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    ceiling = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    while head := into.read(4):
        data = into.read(struct.unpack("<I", head)[0])
        try:
            answer = judge(data)
        except Exception as error:  # noqa: BLE001 - any exception at all is what is looked for
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


def judge(data: bytes) -> dict[str, object]:
    """Load one input and hold the loader to what it promises of any."""
    from gthulhu_reconcile.loading.policies import load  # noqa: PLC0415 - see work()
    from gthulhu_reconcile.loading.windows import candidates, next_change  # noqa: PLC0415 - see work()
    from gthulhu_reconcile.planning.options import NamespaceLimits, Protection  # noqa: PLC0415 - see work()
    from gthulhu_wire.intents import Terms  # noqa: PLC0415 - see work()

    limits = (("*", NamespaceLimits(priority_max=5)),)
    loaded = load(["-"], stdin=io.BytesIO(data), protected=Protection(), limits=limits)
    lines = max(1, data.count(b"\n") + data.count(b"\r") + 1)
    for finding in loaded.diagnostics:
        said = f"{finding.message}{finding.hint}{finding.suggestion}" + "".join(text for _, text in finding.snippet)
        if not said.isprintable() or len(finding.message) > 1_000:
            return {"error": f"unprintable or endless: {finding.code}: {said!r}"[:500]}
        if finding.span.line > lines or 0 < finding.span.end_column <= finding.span.column:
            return {"error": f"no such place: {finding.span}"}
        json.dumps(finding.as_json()).encode()
    if loaded.errors and not loaded.unreadable:
        return {"error": "errors, and yet the file counts as read"}
    at = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    candidates(loaded.policies, at)
    next_change(loaded.policies, at)
    for policy in loaded.policies:
        terms = Terms(policy.ref, policy.schedule, policy.selector.command, policy.selector.command_on)
        terms.canonical.encode()
    return {"codes": [finding.code.value for finding in loaded.diagnostics], "policies": len(loaded.policies)}


def main() -> int:
    """Fuzz, and print what was seen."""
    parser = argparse.ArgumentParser(description="Fuzz the loading of policies.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="for the same inputs again; random by default")
    parser.add_argument("--save", type=Path, default=ROOT / ".cache" / "fuzz", help="folder for what fails")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(sys.stdin.buffer, sys.stdout.buffer)
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    result = fuzz(options.seconds, seed, options.save)
    sys.stdout.write(
        f"seed {seed}: {result.inputs} inputs, {result.valid} with a valid policy, slowest {result.slowest:.2f} s\n"
    )
    sys.stdout.write("".join(f"  {count:8} {code}\n" for code, count in sorted(result.codes.items())))
    if result.failure:
        sys.stdout.write(f"FAILED: {result.failure}\nsaved as {result.saved}\n")
    return 1 if result.failure else 0


if __name__ == "__main__":
    sys.exit(main())
