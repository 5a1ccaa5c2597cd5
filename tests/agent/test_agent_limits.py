"""Clients that are slow, silent, too many or too large, spoken to over real sockets byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_harness import SECRET, Harness, desired, intent, running

from gthulhu_agent.api.bodies import LIMIT, RECEIVED_LIMIT, SET_LIMIT
from gthulhu_wire.intents import canonical_intent


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the agent closes; a reset is an end too."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self.reader.read(65536):
                received += piece
        return received

    async def answer(self) -> tuple[int, dict[str, object]]:
        """One answer, the connection left open."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        return status, json.loads(await self.reader.readexactly(length))


@contextlib.asynccontextmanager
async def wire(agent: Harness) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port, limit=1 << 22)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def drip(connection: Wire, data: bytes, every: float) -> None:
    """One byte at a time until the agent has had enough."""
    with contextlib.suppress(ConnectionError):
        for byte in data:
            await connection.send(bytes([byte]))
            await asyncio.sleep(every)


GET = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, headers_deadline=0.2) as agent, wire(agent) as connection:
        assert await connection.rest() == b""


async def test_trickled_headers_are_cut_off(tmp_path: Path) -> None:
    async with running(tmp_path, headers_deadline=0.3) as agent, wire(agent) as connection:
        dripping = asyncio.create_task(drip(connection, GET.rstrip() + b"\r\nX-Slow: " + b"a" * 10_000, 0.02))
        assert await connection.rest() == b""
        dripping.cancel()


async def test_trickled_headers_of_a_second_request_are_cut_off_too(tmp_path: Path) -> None:
    async with running(tmp_path, headers_deadline=0.3) as agent, wire(agent) as connection:
        await connection.send(GET)
        assert (await connection.answer())[0] == 200
        dripping = asyncio.create_task(drip(connection, GET.rstrip() + b"\r\nX-Slow: " + b"a" * 10_000, 0.02))
        assert await connection.rest() == b""
        dripping.cancel()


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 60000\r\n\r\n", b" " * 60_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n" * 10_000),
    ],
    ids=["length", "chunks"],
)
async def test_a_trickled_body_is_answered_408_and_closed(tmp_path: Path, framing: bytes, body: bytes) -> None:
    async with running(tmp_path, body_deadline=0.2) as agent, wire(agent) as connection:
        await connection.send(b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\n" + framing)
        dripping = asyncio.create_task(drip(connection, body, 0.02))
        answer = await connection.rest()
        dripping.cancel()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"code":"too-slow"' in answer
        assert b"Connection: close" in answer


async def test_a_body_that_breaks_off_harms_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        async with wire(agent) as connection:
            await connection.send(b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert (await agent.put(desired(1, intent("web"))))[0] == 200


async def test_who_does_not_read_the_answer_is_cut_off(tmp_path: Path) -> None:
    many = [intent(f"p{number}", pod=f"uid-{number}-{'x' * 200}") for number in range(3_000)]
    path = tmp_path / "api.sock"
    async with running(tmp_path, answer_deadline=0.3, listen=f"unix:{path}") as agent:
        assert (await agent.put(desired(1, *many)))[0] == 200
        whole = sum(len(canonical_intent(one)) for one in many)
        connection = Wire(*await asyncio.open_unix_connection(str(path), limit=1024))
        await connection.send(b"GET /v1/desired HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(0.6)  # twice the deadline, without a byte read
        assert len(await connection.rest()) < whole
        connection.writer.close()


async def test_one_connection_more_than_allowed_is_told_so_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, max_connections=4) as agent, contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(wire(agent)) for _ in range(4)]
        for connection in held:
            await connection.send(GET)
            assert (await connection.answer())[0] == 200
        async with wire(agent) as fifth:
            answer = await fifth.rest()
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 1" in answer
            assert b'"code":"busy"' in answer
        held[0].writer.close()
        await held[0].writer.wait_closed()
        while True:  # a place is free as soon as the agent has seen the end
            async with wire(agent) as again:
                await again.send(GET)
                if (await again.answer())[0] == 200:
                    break


async def test_slow_clients_up_to_the_cap_do_not_delay_others(tmp_path: Path) -> None:
    async with running(tmp_path, max_connections=64) as agent, contextlib.AsyncExitStack() as stack:
        for _ in range(60):
            slow = await stack.enter_async_context(wire(agent))
            await slow.send(b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        assert (await agent.get("/v1/digest"))[0] == 200


@pytest.mark.parametrize(
    ("head", "limit"),
    [
        (b"PUT /v1/desired", SET_LIMIT),
        (b"POST /v1/revert", LIMIT),
        (b"GET /v1/health", LIMIT),
    ],
)
async def test_x11_a_body_over_its_limit_is_refused_before_it_is_read(tmp_path: Path, head: bytes, limit: int) -> None:
    async with running(tmp_path) as agent, wire(agent) as connection:
        await connection.send(
            head + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + str(limit + 1).encode() + b"\r\n\r\n"
        )
        status, refusal = await connection.answer()
        assert (status, refusal["code"]) == (413, "too-large")
        assert agent.kernel.reverts == 0


@pytest.mark.parametrize(
    ("head", "limit"),
    [
        (b"POST /api/v1/intents", RECEIVED_LIMIT),
        (b"POST /api/v1/node-intents", RECEIVED_LIMIT),
        (b"DELETE /api/v1/intents", LIMIT),
        (b"POST /api/v1/runtime-config", LIMIT),
        (b"POST /api/v1/auth/token", LIMIT),
        (b"POST /api/v1/metrics", LIMIT),
    ],
)
async def test_x11_a_body_over_its_limit_is_refused_at_a_decision_makers_paths_too(
    tmp_path: Path, head: bytes, limit: int
) -> None:
    async with running(tmp_path) as agent, wire(agent) as connection:
        await connection.send(
            head + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + str(limit + 1).encode() + b"\r\n\r\n"
        )
        status, refusal = await connection.answer()
        assert (status, refusal["success"]) == (413, False)
        assert (await agent.get("/v1/digest"))[1]["generation"] == 0


async def test_more_values_than_memory_is_bounded_for_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of ``[]`` become 64 of a list: a body within its limit was 2 GB."""
    monkeypatch.setattr("gthulhu_agent.api.bodies.VALUES_MAX", 1_000)
    async with running(tmp_path) as agent:
        status, refusal = await agent.put(b"[" + b"[]," * 1_000 + b"[]]")
        assert (status, refusal["code"]) == (413, "too-large")
        assert refusal["cure"]
        assert (await agent.put(desired(1, *(intent(f"p{number}") for number in range(20)))))[0] == 200


async def test_a_chunked_body_over_its_limit_is_refused_as_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path) as agent, wire(agent) as connection:
        await connection.send(b"POST /v1/revert HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                await connection.send(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        assert (await connection.answer())[0] == 413
        assert agent.kernel.reverts == 0


async def test_a_body_of_exactly_its_limit_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        async with agent.session.post(f"{agent.url}/v1/resume", data=b" " * LIMIT) as answer:
            assert answer.status == 200
        async with agent.session.post(f"{agent.url}/v1/resume", data=b" " * (LIMIT + 1)) as answer:
            assert answer.status == 413


async def test_who_waits_to_be_asked_for_the_body_is_asked(tmp_path: Path) -> None:
    body = json.dumps(desired(1, intent("web")).as_json()).encode()
    async with running(tmp_path) as agent, wire(agent) as connection:
        await connection.send(
            b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n"
        )
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(body)
        assert (await connection.answer())[0] == 200


async def test_who_has_no_secret_is_not_asked_for_the_body(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent, wire(agent) as connection:
        await connection.send(
            b"PUT /v1/desired HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        )
        assert (await connection.answer())[0] == 401


async def test_two_secrets_in_one_call_are_none(tmp_path: Path) -> None:
    line = b"Authorization: Bearer " + SECRET + b"\r\n"
    for lines, status in ((line, 200), (line + b"Authorization: Bearer other\r\n", 401)):
        async with running(tmp_path, secret=SECRET) as agent, wire(agent) as connection:
            await connection.send(b"GET /v1/digest HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
            assert (await connection.answer())[0] == status


async def test_a_compressed_body_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        status, refusal = await agent.put(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert (status, refusal["message"]) == (400, "compressed bodies are not taken")


SMUGGLED = b"GET /v1/digest HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"NOT HTTP\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["words", "tls", "two-lengths", "length-and-chunks", "minus", "coding", "space", "long", "line", "many"],
)
async def test_what_is_not_http_is_refused_in_json_and_nothing_behind_it_is_read(
    tmp_path: Path, request_: bytes
) -> None:
    async with running(tmp_path) as agent, wire(agent) as connection:
        await connection.send(request_ + SMUGGLED)
        answer = await connection.rest()
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert b'"code":"bad-request"' in answer
        assert len(re.findall(rb"HTTP/1\.[01] \d", answer)) == 1
        assert (await agent.get("/v1/health"))[0] == 200


SLOW_SET = b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n{"


async def test_sets_that_trickle_keep_no_set_out(tmp_path: Path) -> None:
    """Four of them did, for as long as a body may take."""
    async with running(tmp_path) as agent, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            slow = await stack.enter_async_context(wire(agent))
            await slow.send(SLOW_SET)
        assert (await agent.put(desired(1)))[0] == 200


async def test_more_bytes_on_their_way_than_are_taken_at_a_time_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gthulhu_agent.api.arriving.MOST", 100_000)
    async with running(tmp_path) as agent, contextlib.AsyncExitStack() as stack:
        slow = await stack.enter_async_context(wire(agent))
        await slow.send(SLOW_SET + b" " * 99_000)
        while True:  # until those have arrived
            status, refusal = await agent.put(b" " * 2_000)
            if status == 503:
                break
        assert refusal["code"] == "busy"
        slow.writer.close()
        await slow.writer.wait_closed()
        while True:  # until the agent has seen the end
            if (await agent.put(desired(1, intent("web"))))[0] == 200:
                break


async def test_who_waits_longest_goes_when_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gthulhu_agent.api.room.PATIENCE", 0.0)
    async with running(tmp_path, max_connections=4) as agent, contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(wire(agent)) for _ in range(4)]
        for connection in slow[:2]:
            await connection.send(SLOW_SET)
        assert (await agent.get("/v1/digest"))[0] == 200
        assert await slow[0].rest() == b""
        await slow[1].send(b" ")
        await slow[3].send(GET)
        assert (await slow[3].answer())[0] == 200


async def test_who_is_worked_for_is_not_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gthulhu_agent.api.room.PATIENCE", 0.0)
    async with running(tmp_path, max_connections=4) as agent, contextlib.AsyncExitStack() as stack:
        working = agent.service.agent._lock
        async with working:
            push = asyncio.create_task(agent.put(desired(1, intent("web"))))
            while True:  # until it waits for the lock
                await asyncio.sleep(0)
                if working._waiters:
                    break
            for _ in range(8):
                other = await stack.enter_async_context(wire(agent))
                await other.send(GET)
                assert (await other.answer())[0] == 200
        assert (await push)[0] == 200
