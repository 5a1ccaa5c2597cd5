"""The pod file: what it takes, and how it says what it does not take."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.podfile import (
    MAX_BYTES,
    DeclaredContainer,
    DeclaredPod,
    PodFileError,
    parse,
    read_bytes,
)

CONTAINERS = [{"name": "web", "id": "c1", "pids": [4242]}]
WEB: dict[str, object] = {"uid": "u1", "name": "web-0", "containers": CONTAINERS}


def pods(*rows: object) -> bytes:
    return json.dumps({"pods": list(rows)}).encode()


def test_a_whole_pod() -> None:
    row = WEB | {
        "namespace": "prod",
        "labels": {"tier": "front", "app": "web", "empty": ""},
        "containers": [
            {"name": "web", "id": "c1", "pids": [4242, 4243]},
            {"name": "log", "id": "c2", "cgroup": "/web/log/"},
        ],
    }
    assert parse(pods(row), "f") == (
        DeclaredPod(
            "u1",
            "prod",
            "web-0",
            (("app", "web"), ("empty", ""), ("tier", "front")),
            (DeclaredContainer("web", "c1", (4242, 4243)), DeclaredContainer("log", "c2", cgroup="/web/log")),
        ),
    )


def test_what_may_be_left_out() -> None:
    assert parse(pods({"uid": "u1", "name": "a"}), "f") == (DeclaredPod("u1", "default", "a", (), ()),)
    assert parse(b'{"pods": []}', "f") == ()


def container(**keys: object) -> dict[str, object]:
    return {"uid": "u", "name": "n", "containers": [{"name": "c", "id": "i", **keys}]}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "f:1:1: Expecting value"),
        (b'{"pods": [}', "f:1:11: Expecting value"),
        (b"\xff", "f: 'utf-8' codec can't decode"),
        (b"[" * 100_000, "f: is nested too deeply"),
        (b'{"pods": [], "pods": []}', "f: the key 'pods' is there twice in one object"),
        (b'{"pods": [NaN]}', "f: NaN is no JSON"),
        (b'{"pods": [1' + b"0" * 5000 + b"]}", "f: Exceeds the limit"),
        (b"[]", "f: must be an object"),
        (b"{}", "f: pods: is missing"),
        (b'{"pods": {}}', "f: pods: must be a list"),
        (b'{"pods": [], "pod": []}', "f: pod: is not known; known are pods"),
        (pods(1), "f: pods[0]: must be an object"),
        (pods({"uid": "u"}), "f: pods[0].name: is missing"),
        (pods({"uid": "", "name": "n"}), "f: pods[0].uid: must not be empty"),
        (pods({"uid": 1, "name": "n"}), "f: pods[0].uid: must be a string"),
        (pods({"uid": "a\nb", "name": "n"}), "f: pods[0].uid: must be at most 1024 printable"),
        (pods({"uid": "\ud800", "name": "n"}), "f: pods[0].uid: must be at most 1024 printable"),
        (pods({"uid": "u" * 1025, "name": "n"}), "f: pods[0].uid: must be at most 1024 printable"),
        (pods(WEB, WEB | {"containers": []}), "f: pods[1].uid: u1 is another pod's too"),
        (
            pods(WEB | {"label": {}}),
            "f: pods[0].label: is not known; known are containers, labels, name, namespace, uid",
        ),
        (pods(WEB | {"labels": []}), "f: pods[0].labels: must be an object"),
        (pods(WEB | {"labels": {"a": 1}}), "f: pods[0].labels.a: must be a string"),
        (pods(WEB | {"labels": {str(n): "" for n in range(257)}}), "f: pods[0].labels: has 257 entries"),
        (pods(container()), "f: pods[0].containers[0]: must have either pids or cgroup"),
        (pods(container(pids=[2], cgroup="/a")), "f: pods[0].containers[0]: must have either pids or cgroup"),
        (pods(container(pids=2)), "f: pods[0].containers[0].pids: must be a list"),
        (pods(container(pids=[1])), "f: pods[0].containers[0].pids[0]: must be a pid"),
        (pods(container(pids=[2, True])), "f: pods[0].containers[0].pids[1]: must be a pid"),
        (pods(container(pids=[1 << 23])), "f: pods[0].containers[0].pids[0]: must be a pid"),
        (pods(container(pids=[2, 2])), "f: pods[0].containers[0]: 2 is in pods[0].containers[0] already"),
        (pods(container(cgroup="/")), "f: pods[0].containers[0].cgroup: must be an absolute path"),
        (pods(container(cgroup="a")), "f: pods[0].containers[0].cgroup: must be an absolute path"),
        (pods(container(cgroup="/a/../..")), "f: pods[0].containers[0].cgroup: must be an absolute path"),
        (pods(container(cgroup="/a//b")), "f: pods[0].containers[0].cgroup: must be an absolute path"),
        (pods(WEB, WEB | {"uid": "u2"}), "f: pods[1].containers[0]: 4242 is in pods[0].containers[0] already"),
        (
            pods(WEB | {"containers": CONTAINERS * 2}),
            "f: pods[0].containers[1].name: web is another container's",
        ),
    ],
)
def test_a_fault_is_named_by_its_place(data: bytes, fault: str) -> None:
    with pytest.raises(PodFileError) as caught:
        parse(data, "f")
    assert str(caught.value).startswith(fault)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pods", "uid", "name", "containers", "id", "pids", "cgroup", "labels", "x"]),
            inner,
            max_size=5,
        )
    ),
)


@given(JSON)
def test_any_json_is_taken_or_refused_but_never_half(value: object) -> None:
    try:
        found = parse(json.dumps(value).encode(), "f")
    except PodFileError:
        return
    assert isinstance(value, dict)
    assert len(found) == len(value["pods"])


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    with pytest.raises(PodFileError):
        parse(data + b"}", "f")


def test_only_a_readable_regular_file_of_a_bounded_size_is_read(tmp_path: Path) -> None:
    good, large, fifo = tmp_path / "good", tmp_path / "large", tmp_path / "fifo"
    good.write_bytes(b"x" * MAX_BYTES)
    large.write_bytes(b"x" * (MAX_BYTES + 1))
    os.mkfifo(fifo)
    assert len(read_bytes(good)) == MAX_BYTES
    for path, why in (
        (large, "larger than 1048576 bytes"),
        (fifo, "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(PodFileError, match=why):
            read_bytes(path)
