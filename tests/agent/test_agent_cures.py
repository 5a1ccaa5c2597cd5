"""Whoever is refused is told what to do about it."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path

import pytest
from agent_harness import running

import gthulhu_agent
from gthulhu_agent.api.bodies import LIMIT, SET_LIMIT

_PACKAGE = Path(gthulhu_agent.__file__).parent
_SAYS_NO = ("Refused", "of_refusal", "NotLoggedIn", "NotStored")


def _cure(call: ast.Call) -> ast.expr | None:
    named = {one.arg: one.value for one in call.keywords}
    position = 1 if getattr(call.func, "id", "") == "NotStored" else 2
    starred = [one for one in call.args if isinstance(one, ast.Starred)]
    return named.get("cure") or (starred[0] if starred else dict(enumerate(call.args)).get(position))


def _without_cure(path: Path) -> list[str]:
    return [
        f"{path.relative_to(_PACKAGE)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in _SAYS_NO
        and ((cure := _cure(node)) is None or (isinstance(cure, ast.Constant) and not cure.value))
    ]


def test_no_refusal_of_the_api_is_without_a_cure() -> None:
    places = [*(_PACKAGE / "api").glob("*.py"), *_PACKAGE.glob("*.py"), _PACKAGE / "legacy/runtime.py"]
    places += [_PACKAGE / "legacy/decision_maker.py", _PACKAGE / "legacy/runtime_file.py"]
    assert [found for place in sorted(places) for found in _without_cure(place)] == []


@pytest.mark.parametrize(
    ("method", "path", "data", "headers", "status"),
    [
        ("PUT", "/v1/desired", b"", {"Content-Length": str(SET_LIMIT + 1)}, 413),
        ("POST", "/v1/revert", b"", {"Content-Length": str(LIMIT + 1)}, 413),
        ("PUT", "/v1/desired", b"[" * 60_000, {}, 400),
        ("PUT", "/v1/desired", b"\xff", {}, 400),
        ("PUT", "/v1/desired", b"{", {}, 400),
        ("PUT", "/v1/desired", b"[" + b"9" * 5_000 + b"]", {}, 400),
        ("PUT", "/v1/desired", b'{"a":1,"a":1}', {}, 400),
        ("PUT", "/v1/desired", b"NaN", {}, 400),
        ("PUT", "/v1/desired?adopt=perhaps", b"", {}, 400),
        ("PUT", "/v1/desired?other=1", b"", {}, 400),
        ("GET", "/v1/digest?other=1", b"", {}, 400),
        ("PUT", "/v1/desired?adopt=true&adopt=true", b"", {}, 400),
        ("DELETE", "/v1/desired", b"", {}, 405),
        ("GET", "/v1/other", b"", {}, 404),
        ("GET", "/v1/processes/4194305", b"", {}, 404),
        ("GET", "/v1/digest", b"", {"Origin": "http://example.org"}, 403),
        ("GET", "/v1/digest", b"", {"Host": "example.org"}, 403),
    ],
)
async def test_what_is_refused_has_a_cure(  # noqa: PLR0917 - a row of the table
    tmp_path: Path, method: str, path: str, data: bytes, headers: dict[str, str], status: int
) -> None:
    head = {"Host": "localhost", "Content-Length": str(len(data)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    async with running(tmp_path) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        answer = await reader.readuntil(b"\r\n\r\n")
        refusal = json.loads(await reader.readuntil(b"}\n"))
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert refusal["cure"]
