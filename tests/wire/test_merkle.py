"""Roots that have to agree with Gthulhu's Manager, byte for byte."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_wire.merkle import EMPTY_ROOT, Leaf, node_leaf, pod_leaf, root


def _a(priority: int = 5) -> Leaf:
    return pod_leaf(
        pod_name="upf-0",
        pod_id="11111111-2222-3333-4444-555555555555",
        node_id="node-a",
        namespace="free5gc",
        command_regex="upf|nr-gnb",
        priority=priority,
        execution_time=20_000_000,
        labels=(("nf", "upf"), ("app", "upf")),
    )


A = _a()
B = pod_leaf(
    pod_name="amf-0",
    pod_id="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    node_id="node-a",
    namespace="free5gc",
    command_regex="",
    priority=0,
    execution_time=0,
    labels=(),
)
C = _a(priority=7)


def test_of_nothing_is_the_hash_of_nothing() -> None:
    assert root(()) == EMPTY_ROOT == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_one_leaf_is_the_root() -> None:
    assert root([A]) == A.digest.hex() == "835d11b6e69ec802bca6a6006a12d125dc0796a5ccac8ff47dac7e695eefdea0"
    assert B.digest.hex() == "445c777345f89636f6d29097703c5abe94fa85641d35de4755d94d5cb828904b"
    assert C.digest.hex() == "7dcdf0d0818d650ebcb41bdb63e879f5d8a9430e03d4b489fd692d98772db36f"


def test_leaves_are_sorted_by_their_values() -> None:
    two = "742c4cdcfdc987feaa86b5419c9af5633640332768751980ec11846d85b5688f"
    assert root([A, B]) == root([B, A]) == two
    assert root([C, A, B]) == "af2f1fcb625134096a0eb8027ab6ba0533e67f51569d1985da3641c1653bed56"


def test_w23_a_last_leaf_that_is_there_twice_does_not_show() -> None:
    assert root([A, B, C, C]) == root([A, B, C])


def test_w02_a_node_leaf_names_the_policy_first() -> None:
    leaf = node_leaf(
        policy_id="69afe18156b0ab11513bd8f2",
        node_id="node-a",
        command_regex="^kworker",
        priority=10,
        execution_time=5_000_000,
    )
    assert root([leaf]) == "e0303dbb8f3add035f7c164a731f21e9bc8f17c6f71f798d5d0d6cbd2e24e810"


@given(st.lists(st.integers(-100, 100), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(priorities: list[int], random: object) -> None:
    leaves = [_a(priority) for priority in priorities]
    shuffled = list(leaves)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random, which hypothesis does not name
    assert root(leaves) == root(shuffled)


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2, unique=True))
def test_order_is_that_of_bytes(names: list[str]) -> None:
    names = [name.encode(errors="replace").decode() for name in names]
    leaves = [Leaf(name, hashlib.sha256(name.encode()).digest()) for name in names]
    first, second = sorted(leaves, key=lambda leaf: leaf.order.encode())
    assert root(leaves) == hashlib.sha256(first.digest + second.digest).hexdigest()
