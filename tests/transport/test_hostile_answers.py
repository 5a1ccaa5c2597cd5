"""A node that was taken over may answer anything: what it costs us is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc

import pytest
from agent_harness import desired, intent
from hostile_agents import NODE, Script, always, answer, holding, misbehaving

from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer
from gthulhu_reconcile.transport.client import MAX_HEAD, AgentClient
from gthulhu_reconcile.transport.retrying import Deadlines

HASTY = Deadlines(connect=1.0, request=0.3, node=2.0)
GIB = 1 << 30
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def endless_chunks(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


async def trickle(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def trickled_headers(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silence(_head: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def hang_up(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def break_off(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"node": ')
    await writer.drain()
    writer.close()


BAD = {
    "a gigabyte": (always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB), f"{GIB} bytes"),
    "endless chunks": (endless_chunks, "more than"),
    "gzip bomb": (
        always(answer(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})),
        "compressed",
    ),
    "no JSON": (always(answer(b"<html>")), "not JSON"),
    "no UTF-8": (always(answer(b'{"node": "\xff"}')), "not JSON"),
    "not a number": (always(answer(b'{"generation": NaN}')), "NaN"),
    "deep nesting": (always(answer(b"[" * 60_000)), "nested too deeply"),
    "a list": (always(answer([])), "not an object"),
    "a missing key": (always(answer({"node": NODE})), "missing"),
    "a wrong type": (always(answer(holding(generation="1"))), "not an integer"),
    "a negative counter": (always(answer(holding(generation=-1))), "out of range"),
    "a huge counter": (always(answer(holding(generation=2**60))), "out of range"),
    "an odd digest": (always(answer(holding(digest="x" * 64))), "SHA-256"),
    "half a surrogate pair": (always(answer(holding(owner="x\ud800"))), "'owner' has half of a surrogate pair"),
    "a NUL": (always(answer(holding(owner="x\0"))), "'owner' has a NUL"),
    "an endless name": (always(answer(holding(owner="x" * 1025))), "'owner' is 1025 bytes long"),
    "another node": (always(answer(holding(node="node-2"))), "is node 'node-2'"),
    "a redirect": (always(answer(b"", status=302, headers={"Location": "http://127.0.0.1:1/"})), "302"),
    "a plain 404": (always(answer(b"nothing here", status=404)), "is that a gthulhu-agent"),
    "no HTTP": (always(b"SSH-2.0-OpenSSH_9.2\r\n"), "not HTTP"),
    "a huge header": (always(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "not HTTP"),
}
FAILED: dict[str, tuple[Script, str]] = {
    "silence": (silence, "no answer within 0.3 s"),
    "a trickle": (trickle, "no answer within 0.3 s"),
    "trickled headers": (trickled_headers, "no answer within 0.3 s"),
    "a hang-up": (hang_up, "closed without an answer"),
    "an answer that breaks off": (break_off, "broke off"),
    "busy": (always(answer({"code": "busy", "message": "starting"}, status=503)), "starting"),
    "a full disk": (always(answer({"code": "not-stored", "message": "disk full"}, status=507)), "disk full"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_answer_that_no_agent_gives_is_a_bad_answer(name: str) -> None:
    script, reason = BAD[name]
    async with misbehaving(script) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(BadAnswer, match=reason):
            await client.digest(agent)


def pod(**changed: object) -> dict[str, object]:
    return {"uid": "u", "labels": {"app": "web"}, "containers": [{"name": "c", "id": "i"}], **changed}


@pytest.mark.parametrize(
    "odd",
    [
        pod(uid="u\ud800"),
        pod(name="\ud800"),
        pod(namespace="\0"),
        pod(labels={"app": "\udfff"}),
        pod(labels={"\udfff": "web"}),
        pod(labels={"app": 1}),
        pod(labels={"app": "x" * 1025}),
        pod(containers=[{"name": "\ud800"}]),
        pod(containers=[{"name": "c", "id": "\ud800"}]),
    ],
)
async def test_half_a_surrogate_pair_in_one_pod_does_not_get_as_far_as_the_digest_of_the_fleet(odd: object) -> None:
    """Encoding it for the digest failed, and with it the pass over all nodes."""
    good = always(answer({"node": NODE, "pods": [pod()]}))
    async with misbehaving(good) as agent, AgentClient(deadlines=HASTY) as client:
        assert len((await client.pods(agent)).pods) == 1
    async with misbehaving(always(answer({"node": NODE, "pods": [odd]}))) as agent, AgentClient() as client:
        with pytest.raises(BadAnswer):
            await client.pods(agent)


async def test_a_process_may_be_called_anything_and_is_shown() -> None:
    told = {"pid": 7, "comm": "x\udc80", "argv0": "/" + "y" * 4000, "group": {"kind": "system", "cgroup": "/\0"}}
    async with misbehaving(always(answer(told))) as agent, AgentClient(deadlines=HASTY) as client:
        report = await client.process(agent, 7)
    assert (report.comm, report.cgroup) == ("x", "/")
    assert len(report.argv0) == 300


async def test_a_number_that_no_clock_can_hold_is_a_bad_answer() -> None:
    thread = {"tid": 7, "wanted": {"timeSlice": 10**400}}
    told = {"pid": 7, "group": {}, "threads": [thread]}
    async with misbehaving(always(answer(told))) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(BadAnswer, match="'timeSlice' is out of range"):
            await client.process(agent, 7)


@pytest.mark.parametrize("name", FAILED)
async def test_what_may_go_away_by_itself_is_unreachable(name: str) -> None:
    script, reason = FAILED[name]
    async with misbehaving(script) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(AgentUnreachable, match=reason):
            await client.digest(agent)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [("not-stored", 507, "not-stored"), ("busy", 503, "busy"), ("internal", 500, ""), ("shrug", 503, "")],
)
async def test_only_a_no_that_did_nothing_is_known_to_be_one(code: str, status: int, expected: str) -> None:
    script = always(answer({"code": code, "message": "no"}, status=status))
    async with misbehaving(script) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(AgentUnreachable) as raised:
            await client.digest(agent)
    assert raised.value.code == expected


async def test_nobody_listening_is_unreachable() -> None:
    async with misbehaving(silence) as agent:
        pass
    async with AgentClient(deadlines=HASTY) as client:
        with pytest.raises(AgentUnreachable, match=r"no connection to http://127\.0\.0\.1"):
            await client.digest(agent)


@pytest.mark.parametrize("script", [endless_chunks, BAD["gzip bomb"][0]], ids=["endless chunks", "gzip bomb"])
async def test_a_hostile_answer_costs_no_more_memory_than_its_bound(script: Script) -> None:
    async with misbehaving(script) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(BadAnswer):
            await client.digest(agent)
        tracemalloc.start()
        with pytest.raises(BadAnswer):
            await client.digest(agent)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MAX_HEAD * 32


async def test_a_push_whose_acknowledgement_is_of_another_set_is_no_success() -> None:
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        assert head.startswith(b"PUT")
        writer.write(answer(holding(owner="main", generation=1, count=1, digest="0" * 64)))

    async with misbehaving(script) as agent, AgentClient(deadlines=HASTY) as client:
        with pytest.raises(BadAnswer, match="another set"):
            await client.put(agent, desired(1, intent()))


async def test_a_set_whose_digest_is_not_its_own_is_refused() -> None:
    body = desired(1, intent()).as_json()
    async with (
        misbehaving(always(answer({**body, "digest": "0" * 64}))) as agent,
        AgentClient(deadlines=HASTY) as client,
    ):
        with pytest.raises(BadAnswer, match="digest that it names"):
            await client.desired(agent)


async def test_a_key_of_a_newer_agent_beside_its_set_is_ignored_and_inside_of_an_intent_refused() -> None:
    """Every unknown key was refused, against what the module says: a newer agent was a node that nobody could read."""
    held = desired(1, intent())
    body = {**held.as_json(), "node": NODE, "storedAt": "2026-01-31T08:00:00Z"}
    async with misbehaving(always(answer(body))) as agent, AgentClient(deadlines=HASTY) as client:
        assert (await client.desired(agent)).intents == held.intents
    row = {**held.intents[0].as_json(), "namespaces": ["shop"]}
    async with misbehaving(always(answer({**body, "intents": [row]}))) as agent, AgentClient() as client:
        with pytest.raises(BadAnswer, match="namespaces"):
            await client.desired(agent)


async def test_nothing_in_a_refusal_steers_the_terminal() -> None:
    refusal = {"code": "bad-request", "message": "\x1b[2Jall\nis\x07 well" + "!" * 5000, "cure": 7}
    async with (
        misbehaving(always(answer(refusal, status=400))) as agent,
        AgentClient(deadlines=HASTY) as client,
    ):
        with pytest.raises(AgentRefused) as caught:
            await client.digest(agent)
    assert caught.value.code == "bad-request"
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 300


async def test_a_large_set_may_take_longer_than_a_request_and_a_trickle_may_not() -> None:
    many = desired(1, *(intent(f"p{number}") for number in range(4000)))
    content = answer(many.as_json())
    assert len(content) > 1 << 20

    async def in_pieces(_head: bytes, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(content), 1 << 17):
            writer.write(content[at : at + (1 << 17)])
            await writer.drain()
            await asyncio.sleep(0.04)

    async with (
        misbehaving(in_pieces) as agent,
        AgentClient(deadlines=Deadlines(request=0.4, least_mib_per_second=0.5)) as client,
    ):
        assert (await client.desired(agent)).intents == many.intents
