"""Pod files: what is damaged is unreadable, never smaller or empty."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gthulhu_reconcile.loading import yamltree
from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.model.diagnostics import Code, Severity
from gthulhu_reconcile.model.pods import Container, Node, Phase, Pod
from gthulhu_reconcile.observing import jsonlist, kubectl, podfile, snapshot
from gthulhu_reconcile.observing.pods import Observation, Relisted
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_wire.intents import PodRef

UID = "0e4f5a9c-7c39-4f60-8c9f-1d2e3f4a5b6c"
HASH = "d41d8cd98f00b204e9800998ecf8427e"


def a_pod(name: str = "web-0", uid: str = UID, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "labels": {"app": "web"}, **metadata},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "main"}, {"name": "side"}],
            "initContainers": [{"name": "init"}],
            "ephemeralContainers": [{"name": "debug"}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "main", "containerID": "containerd://4f"}, {"name": "side"}],
            "initContainerStatuses": [{"name": "init", "containerID": "cri-o://aa"}],
            "ephemeralContainerStatuses": [{"name": "debug", "containerID": "docker://bb"}],
        },
    }


def a_node(name: str = "n1") -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name, "labels": {"pool": "rt"}}}


def a_list(*items: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}, **more}


def seen(content: object, *, indent: int | None = 4) -> Observation:
    data = content if isinstance(content, bytes) else json.dumps(content, indent=indent).encode()
    return podfile.read(io.BytesIO(data), "pods.json")


def only(observation: Observation) -> Any:  # noqa: ANN401 - a diagnostic, or the test ends here
    assert observation.unreadable == ("pods.json",)
    assert observation.pods == ()
    assert observation.nodes == ()
    assert len(observation.diagnostics) == 1, observation.diagnostics
    return observation.diagnostics[0]


def test_pods_and_nodes_as_kubectl_prints_them() -> None:
    observation = seen(a_list(a_pod(), a_node()))
    assert observation.complete
    assert observation.nodes == (Node("n1", {"pool": "rt"}),)
    assert observation.pods == (
        Pod(
            ref=PodRef("shop", "web-0", UID),
            node="n1",
            labels={"app": "web"},
            phase=Phase.RUNNING,
            containers=(Container("main", "4f"), Container("side"), Container("init", "aa"), Container("debug", "bb")),
        ),
    )


def test_a_pod_that_is_new_has_neither_node_nor_ids() -> None:
    fresh = a_pod()
    fresh["spec"].pop("nodeName")
    fresh["status"] = {}
    (pod,) = seen(a_list(fresh)).pods
    assert (pod.node, pod.phase) == ("", Phase.PENDING)
    assert {container.id for container in pod.containers} == {""}


def test_a_pod_that_is_being_deleted_runs_until_it_is_gone() -> None:
    (pod,) = seen(a_list(a_pod(deletionTimestamp="2026-01-01T00:00:00Z"))).pods
    assert not pod.phase.finished


def test_the_raw_lists_of_the_api_are_taken() -> None:
    bare = a_pod()
    del bare["kind"]
    assert len(seen({"kind": "PodList", "items": [bare]}).pods) == 1


def test_no_pods_at_all_is_an_answer() -> None:
    assert seen(a_list()) == Observation()


@pytest.mark.parametrize("annotation", ["kubernetes.io/config.mirror", "kubernetes.io/config.hash"])
def test_a_static_pod_has_the_uid_that_its_cgroup_has(annotation: str) -> None:
    (pod,) = seen(a_list(a_pod(annotations={annotation: HASH}))).pods
    assert pod.ref.uid == HASH


def test_a_pod_that_claims_the_uid_of_another_one_does_not_get_it() -> None:
    other = "11111111-2222-3333-4444-555555555555"
    thief = a_pod("thief", uid=other, annotations={"kubernetes.io/config.mirror": UID})
    observation = seen(a_list(a_pod(), thief))
    assert {pod.ref.uid for pod in observation.pods} == {UID, other}
    assert [(one.code, one.severity) for one in observation.diagnostics] == [(Code.DUPLICATE_POD, Severity.WARNING)]


def test_two_pods_that_claim_one_uid_both_keep_their_own() -> None:
    claim = {"kubernetes.io/config.mirror": HASH}
    observation = seen(a_list(a_pod("a", uid="u-a", annotations=claim), a_pod("b", uid="u-b", annotations=claim)))
    assert {pod.ref.uid for pod in observation.pods} == {"u-a", "u-b"}
    assert len(observation.diagnostics) == 1


WHOLE = json.dumps(a_list(a_pod(), a_node()), indent=1).encode()


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_off_anywhere_is_unreadable(length: int) -> None:
    observation = podfile.read(io.BytesIO(WHOLE[:length]), "pods.json")
    assert observation.unreadable == ("pods.json",)
    assert observation.pods == ()
    assert observation.diagnostics


@given(st.binary(max_size=200))
def test_any_bytes_are_either_pods_or_unreadable_and_never_an_exception(data: bytes) -> None:
    observation = podfile.read(io.BytesIO(data), "x")
    assert observation.complete or (observation.pods == () and observation.diagnostics)


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_a_file_with_other_bytes_in_it_never_raises(at: int, other: bytes) -> None:
    damaged = WHOLE[:at] + other + WHOLE[at + len(other) :]
    observation = podfile.read(io.BytesIO(damaged), "x")
    assert observation.complete or observation.pods == ()


class Slowly:
    """Gives at most ``size`` bytes at once, as pipes do."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        """Fewer bytes than asked for."""
        return self._file.read(min(size, self._size))


@given(st.integers(1, 400))
def test_the_pieces_in_which_a_file_comes_change_nothing(size: int) -> None:
    content = json.dumps(a_list(a_pod("ü" * 20), a_node()), ensure_ascii=False, indent=1).encode()
    assert kubectl.read(Slowly(content, size), "x") == podfile.read(io.BytesIO(content), "x")


def test_a_number_that_is_cut_by_a_piece_is_read_whole() -> None:
    content = b'{"kind": "List", "n": 123456, "items": []}'
    parts = list(jsonlist.JsonList(Slowly(content, 1), "x", most=1000).read())
    assert jsonlist.Member("n", 123456) in parts


@pytest.mark.parametrize(
    ("change", "code", "message", "line"),
    [
        ({"metadata": {"name": "x"}}, Code.MISSING_KEY, "entry 1: 'namespace' is missing", 7),
        ({"metadata": {"name": 7, "namespace": "a", "uid": "b"}}, Code.WRONG_TYPE, "entry 1: 'name' must be a", 8),
        ({"spec": []}, Code.WRONG_TYPE, "entry 1: 'spec' must be an object", 15),
        ({"status": {"phase": "Runing"}}, Code.NOT_ALLOWED, "'phase' must be one of Pending", 0),
        ({"kind": "Service"}, Code.UNKNOWN_KIND, "kind 'Service' is neither Pod nor Node", 6),
    ],
)
def test_a_fault_of_an_entry_is_told_with_its_place(
    change: dict[str, Any], code: Code, message: str, line: int
) -> None:
    found = only(seen(a_list({**a_pod(), **change})))
    assert found.code is code
    assert message in found.message
    if line:
        assert found.span.line == line
    assert found.snippet[0][0] == found.span.line


def test_the_place_is_right_far_into_a_file_that_is_read_in_pieces() -> None:
    wrong = a_pod("x", uid="u-last")
    wrong["status"]["phase"] = "Odd"
    items = [a_pod(f"p{number}", uid=f"u-{number}") for number in range(3000)]
    text = json.dumps(a_list(*items, wrong), indent=4)
    assert len(text) > 2 * jsonlist.PIECE
    found = only(seen(text.encode()))
    expected = text[: text.index('"Odd"')].count("\n") + 1
    assert found.span.line == expected
    assert text.splitlines()[expected - 1][found.span.column - 1 :].startswith('"Odd"')


def test_all_faults_are_told_at_once() -> None:
    bad = {"kind": "Pod", "metadata": {}}
    assert len(seen(a_list(bad, a_pod(), bad)).diagnostics) == 2


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", Code.UNREADABLE, "is empty"),
        (b" \n", Code.UNREADABLE, "is empty"),
        (json.dumps(a_list(a_pod(), metadata={"continue": "abc"})).encode(), Code.INCOMPLETE_LIST, "first piece"),
        (json.dumps(a_list(metadata={"remainingItemCount": 4})).encode(), Code.INCOMPLETE_LIST, "first piece"),
        (json.dumps(a_pod()).encode(), Code.UNKNOWN_KIND, "'Pod' is no list"),
        (b'{"kind": "List"}', Code.MISSING_KEY, "'items' is missing"),
        (b'{"items": []}', Code.MISSING_KEY, "'kind' is missing"),
        (b'{"kind": "List", "items": {}}', Code.WRONG_TYPE, "'items' must be a list"),
        (b'{"kind": "NodeList", "items": [{"metadata": {}}]}', Code.MISSING_KEY, ""),
        (b'{"kind": "List", "items": []} x', Code.JSON_SYNTAX, "more after the end"),
        (b'{"kind": "List", "kind": "List", "items": []}', Code.DUPLICATE_KEY, "twice"),
        (b'{"kind": "List", "items": [NaN]}', Code.JSON_SYNTAX, "NaN"),
        (b'{"kind": "List", "n": ' + b"9" * 5000 + b', "items": []}', Code.JSON_SYNTAX, "digit"),
        (b'{"kind": "List", "items": ' + b"[" * 200_000, Code.TOO_LARGE, "nested"),
        (b'{"kind": "L\xff"}', Code.ENCODING, "0xff"),
        ('{"kind": "List"}'.encode("utf-16"), Code.ENCODING, "UTF-16"),
        (b'{"kind" "List"}', Code.JSON_SYNTAX, "':'"),
        (b"{1: 2}", Code.JSON_SYNTAX, "double quotes"),
        (json.dumps(a_list(a_pod(), a_pod())).encode(), Code.DUPLICATE_POD, "twice"),
        (json.dumps(a_list(a_node(), a_node())).encode(), Code.DUPLICATE_NODE, "twice"),
        (json.dumps(a_list("x")).encode(), Code.WRONG_TYPE, "must be an object"),
    ],
)
def test_what_is_no_whole_list_is_unreadable(content: bytes, code: Code, message: str) -> None:
    found = seen(content).diagnostics[0]
    assert found.code is code
    assert message in found.message
    assert seen(content).unreadable == ("pods.json",)


def test_a_file_over_its_limit_is_unreadable() -> None:
    content = json.dumps(a_list(*(a_pod(uid=str(number)) for number in range(50)))).encode()
    observation = kubectl.read(io.BytesIO(content), "x", most=len(content) - 1)
    assert observation.unreadable == ("x",)
    assert observation.diagnostics[0].code is Code.TOO_LARGE


def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        observation = podfile.load(str(path))
        assert observation.unreadable == (str(path),)
        assert observation.diagnostics[0].code is Code.UNREADABLE


def test_standard_input_is_a_file_too() -> None:
    assert len(podfile.load("-", stdin=io.BytesIO(WHOLE)).pods) == 1


SNAPSHOT = b"""\
pods:
  - namespace: shop
    name: web-0
    uid: u-1
    node: n1
    labels: {app: web}
    phase: Running
    containers: [{name: main, id: containerd://4f}, {name: side}]
  - {name: lone, uid: u-2}
nodes:
  - {name: n1, labels: {pool: rt}}
"""


def test_the_snapshot_says_the_same_in_yaml() -> None:
    observation = podfile.read(io.BytesIO(SNAPSHOT), "pods.yaml")
    assert observation.diagnostics == ()
    assert observation.nodes == (Node("n1", {"pool": "rt"}),)
    first, second = observation.pods
    assert first.containers == (Container("main", "4f"), Container("side"))
    assert (second.ref, second.node, second.phase) == (PodRef("default", "lone", "u-2"), "", Phase.RUNNING)


def test_the_snapshot_may_be_written_as_json() -> None:
    assert seen({"pods": [{"name": "a", "uid": "b"}]}).pods == (Pod(PodRef("default", "a", "b")),)


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        ((b"uid: u-1", b"uuid: u-1"), Code.UNKNOWN_KEY, 4),
        ((b"labels: {app: web}", b"labels: {app: 7}"), Code.WRONG_TYPE, 6),
        ((b"phase: Running", b"phase: Runing"), Code.NOT_ALLOWED, 7),
        ((b"uid: u-2", b"uid: u-1"), Code.DUPLICATE_POD, 9),
        ((b"nodes:\n", b"nodes:\n  - {name: n1}\n"), Code.DUPLICATE_NODE, 12),
        ((b"pods:\n", b"---\na: b\n---\npods:\n"), Code.NOT_ALLOWED, 0),
        ((b"app: web", b"app: &x web"), Code.UNSAFE_YAML, 6),
    ],
)
def test_a_fault_of_a_snapshot_is_told_with_its_place(change: tuple[bytes, bytes], code: Code, line: int) -> None:
    observation = podfile.read(io.BytesIO(SNAPSHOT.replace(*change)), "pods.yaml")
    assert observation.unreadable == ("pods.yaml",)
    assert observation.pods == ()
    assert code in {one.code for one in observation.diagnostics}
    assert line in {one.span.line for one in observation.diagnostics}


def test_kubernetes_own_yaml_is_named_as_such() -> None:
    observation = podfile.read(io.BytesIO(b"apiVersion: v1\nkind: List\nitems: []\n"), "pods.yaml")
    assert "-o json" in observation.diagnostics[0].hint


def test_the_committed_schema_is_the_one_that_is_checked_and_describes_everything() -> None:
    committed = snapshot.SCHEMA_FILE
    assert committed.read_text() == snapshot.schema_text()

    def described(schema: Any) -> bool:  # noqa: ANN401 - JSON
        parts = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
        return bool(schema["description"]) and all(map(described, parts))

    assert described(json.loads(committed.read_text()))


def test_the_schema_is_compared_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was looked for below the working directory, and said to have drifted everywhere else."""
    monkeypatch.chdir(tmp_path)
    assert snapshot.main(["--check"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_example_in_the_docs_is_a_snapshot() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "pods.md").read_text()
    example = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    tree, found = yamltree.parse(example.encode(), "pods.yaml")
    assert tree is not None
    assert found == ()
    assert check(tree.documents[0], snapshot.SCHEMA) == ()


def test_the_inventory_adds_nodes_and_labels_that_kubernetes_does_not_say() -> None:
    observation = Observation(nodes=(Node("n1", {"pool": "rt"}),))
    agents = (
        Agent("n1", "http://a", {"pool": "x", "rack": "7"}),
        Agent("n2", "http://b", {"pool": "y"}),
        Agent("", "c"),
    )
    assert observation.with_inventory(agents).nodes == (
        Node("n1", {"pool": "rt", "rack": "7"}),
        Node("n2", {"pool": "y"}),
    )


async def test_a_changed_file_is_listed_anew(tmp_path: Path) -> None:
    file = tmp_path / "pods.json"
    file.write_bytes(WHOLE)
    source = podfile.FileSource(str(file))
    assert len((await source.list()).pods) == 1
    events = source.events()
    coming = asyncio.ensure_future(anext(events))
    while not coming.done():
        # Written again and again, because nobody says when the watch has begun.
        replaced = tmp_path / "pods.json.new"
        replaced.write_text(json.dumps(a_list(a_pod(), a_pod("b", uid="u-b"))))
        replaced.replace(file)
        await asyncio.wait([coming], timeout=0.05)
    event = coming.result()
    await events.aclose()  # type: ignore[attr-defined] # it is a generator
    assert isinstance(event, Relisted)
    assert len(event.observation.pods) == 2
