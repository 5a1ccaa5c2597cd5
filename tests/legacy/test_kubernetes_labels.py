"""Labels from an API server over real sockets: in pages, by a watch, and through everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from api_server import ApiServer, pod, serving

from gthulhu_agent.errors import UsageError
from gthulhu_agent.legacy import kubernetes
from gthulhu_agent.legacy.kubernetes import PodWatch, api_server
from gthulhu_agent.legacy.podmetadata import Gone, NotUnderstood, read_event, read_page


class Following:
    """A watch that runs, with what it did."""

    def __init__(self, server: ApiServer, folder: Path, ca: Path | None = None) -> None:
        self.changes = 0
        self.pauses: list[float] = []
        self.now = 0.0
        self.token = folder / "token"
        self.token.write_text(f"{server.token}\n")
        self.watch = PodWatch(
            kubernetes.ApiServer(server.url, self.token, ca),
            "node-1",
            changed=self._changed,
            sleep=self._sleep,
            jitter=lambda: 1.0,
            monotonic=lambda: self.now,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait; the test's own deadline ends it otherwise."""
        while True:
            if wanted():
                return
            await asyncio.sleep(0.002)

    @property
    def labels(self) -> dict[str, dict[str, str]]:
        """By uid."""
        return {uid: dict(known.labels) for uid, known in self.watch.labelled.items()}


@asynccontextmanager
async def following(server: ApiServer, folder: Path) -> AsyncIterator[Following]:
    """``server`` served, and a watch that runs against it."""
    async with serving(server):
        made = Following(server, folder)
        task = asyncio.create_task(made.watch.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_pods_are_listed_in_pages_and_only_this_nodes(tmp_path: Path) -> None:
    server = ApiServer([pod(f"p{number}", {"n": str(number)}) for number in range(5)])
    async with following(server, tmp_path) as found:
        await found.until(lambda: found.watch.synced)
        assert found.labels == {f"uid-p{number}": {"n": str(number)} for number in range(5)}
        assert [query.get("continue") for query, _ in server.asked[:3]] == [None, "2", "4"]
        assert {query["fieldSelector"] for query, _ in server.asked} == {"spec.nodeName=node-1"}
        assert server.asked[0][1]["Accept"].startswith("application/json;as=PartialObjectMetadataList;")
        await found.until(lambda: server.watches)
        assert server.watches[0]["resourceVersion"] == "5"
        assert found.changes == 1


async def test_a_watch_tells_of_pods_that_come_go_and_are_relabelled(tmp_path: Path) -> None:
    server = ApiServer([pod("a", {"x": "1"})])
    async with following(server, tmp_path) as found:
        await found.until(lambda: found.watch.synced)
        server.tell("ADDED", pod("b"))
        await found.until(lambda: "uid-b" in found.labels)
        server.tell("MODIFIED", pod("a", {"x": "2"}))
        await found.until(lambda: found.labels["uid-a"] == {"x": "2"})
        server.tell("DELETED", pod("a", {"x": "2"}))
        await found.until(lambda: "uid-a" not in found.labels)
        assert found.labels == {"uid-b": {}}
        assert found.changes == 4
        server.tell("MODIFIED", pod("b"))
        server.tell("BOOKMARK", {"metadata": {"resourceVersion": "77"}})
        server.events.put_nowait(None)
        await found.until(lambda: found.watch.trouble)
        assert found.changes == 5  # the trouble alone


async def test_a_watch_that_ends_in_its_time_goes_on_where_it_was(tmp_path: Path) -> None:
    server = ApiServer([pod("a")])
    async with following(server, tmp_path) as found:
        await found.until(lambda: server.watches)
        server.tell("BOOKMARK", {"metadata": {"resourceVersion": "77"}})
        found.now += 300
        server.events.put_nowait(None)
        await found.until(lambda: len(server.watches) == 2)
        assert server.watches[1]["resourceVersion"] == "77"
        assert (len(server.lists), found.watch.trouble) == (1, None)


async def test_events_may_come_in_any_pieces(tmp_path: Path) -> None:
    server = ApiServer([])
    async with following(server, tmp_path) as found:
        await found.until(lambda: server.watches)
        line = json.dumps({"type": "ADDED", "object": pod("ä", {"x": "ö"})}).encode()
        for at in range(0, len(line), 7):
            server.events.put_nowait(line[at : at + 7])
        server.events.put_nowait(b"\n\n" + line.replace(b"uid-", b"second-") + b"\n")
        await found.until(lambda: len(found.labels) == 2)


async def test_a_static_pod_goes_by_the_uid_of_its_cgroup(tmp_path: Path) -> None:
    server = ApiServer([pod("etcd", {"tier": "control-plane"}, mirror="0123456789abcdef0123456789abcdef")])
    async with following(server, tmp_path) as found:
        await found.until(lambda: found.watch.synced)
        assert list(found.labels) == ["0123456789abcdef0123456789abcdef"]


async def test_a_version_that_is_too_old_leads_to_a_new_list(tmp_path: Path) -> None:
    server = ApiServer([pod("a")])
    async with following(server, tmp_path) as found:
        await found.until(lambda: server.watches)
        server.pods = [pod("b")]
        server.tell("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
        await found.until(lambda: list(found.labels) == ["uid-b"])
        assert found.watch.trouble is None
        assert len(server.lists) == 2


@pytest.mark.parametrize(
    ("status", "why", "cure"),
    [
        (401, "the token is not taken (401)", "bss.kubernetes_token_file names its file"),
        (403, "this account may not list pods (403)", "give it get, list and watch on pods by RBAC"),
        (500, "answers 500", "it is tried again by itself"),
        (302, "answers 302", "it is tried again by itself"),
    ],
)
async def test_a_refusal_is_told_with_its_cure_and_what_was_known_stays(
    tmp_path: Path, status: int, why: str, cure: str
) -> None:
    server = ApiServer([pod("a")])
    async with following(server, tmp_path) as found:
        await found.until(lambda: server.watches)
        server.status = status
        server.events.put_nowait(None)
        await found.until(lambda: found.watch.trouble and why in str(found.watch.trouble))
        assert found.watch.trouble is not None
        assert found.watch.trouble.cure == cure
        assert list(found.labels) == ["uid-a"]
        server.status = 200
        await found.until(lambda: found.watch.trouble is None)


async def test_it_tries_again_ever_more_slowly_and_quickly_after_a_success(tmp_path: Path) -> None:
    server = ApiServer([pod("a")], status=503)
    async with following(server, tmp_path) as found:
        await found.until(lambda: len(found.pauses) >= 9)
        assert found.pauses[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        server.status = 200
        await found.until(lambda: server.watches)
        so_far = len(found.pauses)
        server.events.put_nowait(None)
        await found.until(lambda: len(found.pauses) > so_far)
        assert found.pauses[so_far] == 1


async def test_a_token_that_was_renewed_is_read_anew(tmp_path: Path) -> None:
    server = ApiServer([pod("a")], token="token-2")  # noqa: S106 - of a server that lives for one test
    async with following(server, tmp_path) as found:
        found.token.write_text("token-1")
        await found.until(lambda: found.watch.trouble)
        found.token.write_text("token-2")
        await found.until(lambda: found.watch.synced)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "no JSON"),
        (b"[]", "expected an object"),
        (b"{}", "has no items"),
        (b'{"items":[{"metadata":{"name":"a","uid":5}}],"metadata":{"resourceVersion":"1"}}', "'uid' is no text"),
        (b'{"items":[],"metadata":{}}', "'resourceVersion' is no text"),
        (b'{"items":' + b"[" * 200_000, "no JSON"),
    ],
)
async def test_what_is_no_api_server_is_told(tmp_path: Path, body: bytes, problem: str) -> None:
    async with following(ApiServer(body=body), tmp_path) as found:
        await found.until(lambda: found.watch.trouble)
        assert problem in str(found.watch.trouble)
        assert not found.watch.synced


async def test_an_event_without_an_end_is_not_kept(tmp_path: Path) -> None:
    server = ApiServer([])
    async with following(server, tmp_path) as found:
        await found.until(lambda: server.watches)
        for _ in range(5):
            server.events.put_nowait(b" " * (1024 * 1024))
        await found.until(lambda: found.watch.trouble)
        assert "an event has more than" in str(found.watch.trouble)


async def test_more_pods_than_any_kubelet_runs_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_MOST_PODS", 3)
    async with following(ApiServer([pod(f"p{number}") for number in range(5)]), tmp_path) as found:
        await found.until(lambda: found.watch.trouble)
        assert "more than 3 pods" in str(found.watch.trouble)


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "\N{SNOWMAN}"])
async def test_a_file_without_a_token_is_told(tmp_path: Path, text: str) -> None:
    server = ApiServer([])
    async with following(server, tmp_path) as found:
        found.token.write_text(text)
        await found.until(lambda: found.watch.trouble)
        assert str(found.token) in str(found.watch.trouble)
        assert server.asked == []


async def test_the_api_server_has_to_be_of_the_authority_that_is_named(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    server = ApiServer([pod("a")])
    async with serving(server, tls):
        for name in ("other.pem", "none.pem", "ca.pem"):
            found = Following(server, tmp_path, tmp_path / name)
            task = asyncio.create_task(found.watch.run())
            await found.until(lambda found=found: found.watch.trouble or found.watch.synced)  # type: ignore[misc] # a default binds it
            task.cancel()
            await asyncio.wait([task])
            assert found.watch.synced is (name == "ca.pem")


def test_in_cluster_is_the_pods_own_api_server(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = api_server("in-cluster", None, None, environ)
    assert found.url == "https://[fd00::1]:443"
    assert str(found.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert api_server("in-cluster", tmp_path, None, environ).token_file == tmp_path
    assert api_server("https://k8s:6443/", None, None, {}) == kubernetes.ApiServer("https://k8s:6443")
    with pytest.raises(UsageError, match="KUBERNETES_SERVICE_HOST"):
        api_server("in-cluster", None, None, {})


def test_what_a_page_and_an_event_say() -> None:
    page = read_page(
        json.dumps({"metadata": {"resourceVersion": "9"}, "items": [pod("a", {"b": "1", "a": "2"})]}).encode()
    )
    assert (page.version, page.following) == ("9", "")
    assert page.pods[0].labels == (("a", "2"), ("b", "1"))
    with pytest.raises(Gone):
        read_event(b'{"type":"ERROR","object":{"code":410}}')
    with pytest.raises(NotUnderstood, match="out of disk"):
        read_event(b'{"type":"ERROR","object":{"code":500,"message":"out of disk"}}')
    with pytest.raises(NotUnderstood, match="SURPRISE"):
        read_event(json.dumps({"type": "SURPRISE", "object": pod("a")}).encode())
