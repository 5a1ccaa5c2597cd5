"""A short run of the fuzz target: that it works, and that its last finds stay found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_loading import Worker, corpus, fuzz, mutate


def test_mutated_policies_break_no_promise(tmp_path: Path) -> None:
    result = fuzz(20.0, 4711, tmp_path, most=200)
    assert result.failure == ""
    assert result.inputs > 0
    assert len(result.codes) >= 8


def test_mutations_are_the_same_for_the_same_seed() -> None:
    seeds = corpus()
    runs = [[mutate(seeds[0], seeds, rng) for _ in range(50)] for rng in (random.Random(1), random.Random(1))]
    assert runs[0] == runs[1]


HOSTILE = {
    "nested lists": b"[" * 1_000_000,
    "nested mappings": b"{a: " * 250_000,
    "anchors": b"a: &x [*x]\n" * 90_000,
    "a number": b"9" * 1_000_000,
    "syntax errors": b"---\n}\n" * 170_000,
    "unknown keys": b"kind: SchedulingPolicy\n" + b"".join(b"k%d: 1\n" % number for number in range(60_000)),
    "labels": b"[{labelSelectors: [" + b"{key: a, value: b}," * 20_000 + b"]}]",
    "documents": b"---\n{kind: SchedulingPolicy}\n" * 30_000,
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One loading process, whose memory may grow by 200 MB over all of these."""
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_fit_into_two_hundred_megabytes(worker: Worker, data: bytes) -> None:
    answer = worker.try_it(data)
    assert answer.get("error") is None
    assert answer["policies"] == 0
    assert answer["codes"]
