"""The runner tells what holds from what does not, against a server whose every answer the test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contract.__main__ import main
from contract.calling import target
from contract.matching import TableError
from contract.running import Outcome, Verdict, run
from contract.table import Table, load

Answered = tuple[int, dict[str, str], str]
LOGIN = {"request": {"method": "POST", "path": "/login", "auth": "none"}, "token": "/token"}


class Server:
    """Answers by ``answer``, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.answer: Callable[[str, str], Answered] = lambda _method, _path: (200, {}, '{"ok":true}\n')
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length).decode()
                server.asked.append((self.command, self.path, dict(self.headers.items()), body))
                status, headers, text = server.answer(self.command, self.path)
                data = text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815 - http.server's names

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.01))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def table(folder: Path, *steps: dict[str, Any], variables: dict[str, Any] | None = None) -> Table:
    """A table of ``steps``."""
    path = folder / "table.json"
    path.write_text(json.dumps({"name": "a table", "login": LOGIN, "variables": variables or {}, "steps": list(steps)}))
    return load(path)


def step(answer: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a step
    """A step that asks for /."""
    return {
        "name": "a step",
        "request": {"method": "GET", "path": "/"},
        "answer": answer or {"status": 200, "body": {"ok": True}},
        **more,
    }


def outcome(server: Server, made: Table, **more: Any) -> Outcome:  # noqa: ANN401 - parameters of run
    """What came of the only step."""
    (found,) = run(made, target(server.url), more.pop("variables", {}), **more)
    return found


def test_a_step_that_holds(tmp_path: Path, server: Server) -> None:
    assert outcome(server, table(tmp_path, step())).verdict is Verdict.HELD


@pytest.mark.parametrize(
    ("answered", "problem"),
    [
        ((201, {}, '{"ok":true}\n'), "status: expected 200, found 201"),
        ((200, {}, '{"ok":false}\n'), "body.ok: expected True, found False"),
        ((200, {}, '{"ok":true}'), "body: does not end in a newline"),
        ((200, {}, '{"ok":true,"ok":true}\n'), "body: no JSON (the key 'ok' is there twice)"),
        ((200, {}, "ok"), "body: no JSON"),
    ],
)
def test_a_step_that_is_broken_says_how(tmp_path: Path, server: Server, answered: Answered, problem: str) -> None:
    server.answer = lambda _method, _path: answered
    found = outcome(server, table(tmp_path, step()))
    assert found.verdict is Verdict.BROKEN
    assert found.details[0].startswith(problem)


def test_headers_and_text_are_looked_at(tmp_path: Path, server: Server) -> None:
    server.answer = lambda _method, _path: (200, {"X-One": "1", "X-Two": "2"}, "plain")
    wanted = {"status": 200, "headers": {"x-one": "1", "X-Two": None, "X-None": None}, "text": {"$matches": "pl.*"}}
    found = outcome(server, table(tmp_path, step(wanted)))
    assert found.details == ("header X-Two: expected none, found '2'",)


def test_variables_are_filled_in_with_their_types_and_saved_ones_are_known_later(
    tmp_path: Path, server: Server
) -> None:
    server.answer = lambda _method, path: (200, {}, '{"list":[{"id":"x-7"}]}\n' if path == "/first" else '{"n":5}\n')
    first = {
        "name": "first",
        "request": {"method": "GET", "path": "/first"},
        "answer": {"status": 200},
        "save": {"id": "/list/0/id"},
    }
    second = step(
        {"status": 200, "body": {"n": "${number}"}},
        request={"method": "POST", "path": "/${id}", "body": {"n": "${number}", "text": "no ${number}"}},
    )
    made = table(tmp_path, first, second, variables={"number": 5})
    assert [one.verdict for one in run(made, target(server.url), {})] == [Verdict.HELD] * 2
    assert server.asked[1][1] == "/x-7"
    assert json.loads(server.asked[1][3]) == {"n": 5, "text": "no 5"}


def test_a_step_whose_variable_is_missing_is_left_out_loudly(tmp_path: Path, server: Server) -> None:
    found = outcome(server, table(tmp_path, step(needs=["pod_uid"])))
    assert (found.verdict, found.details) == (Verdict.LEFT_OUT, ("needs pod_uid",))
    assert server.asked == []


def test_a_public_key_logs_in_first_and_its_token_is_sent_but_where_the_step_says_otherwise(
    tmp_path: Path, server: Server
) -> None:
    server.answer = lambda _method, path: (200, {}, '{"token":"t-1"}\n' if path == "/login" else '{"ok":true}\n')
    made = table(
        tmp_path,
        step(needs=["login"]),
        step(name="none", request={"method": "GET", "path": "/", "auth": "none"}),
        step(name="another", request={"method": "GET", "path": "/", "auth": "Basic ${token}"}),
    )
    found = list(run(made, target(server.url), {"public_key": "pem"}))
    assert [one.verdict for one in found] == [Verdict.HELD] * 3
    assert [headers.get("Authorization") for _, _, headers, _ in server.asked] == [
        None,
        "Bearer t-1",
        None,
        "Basic t-1",
    ]


def test_a_login_that_fails_ends_the_run(tmp_path: Path, server: Server) -> None:
    with pytest.raises(TableError, match="the login failed: 200"):
        list(run(table(tmp_path, step()), target(server.url), {"public_key": "pem"}))


def test_an_answer_may_become_right_within_its_time(tmp_path: Path, server: Server) -> None:
    server.answer = lambda _method, _path: (200, {}, '{"ok":true}\n' if len(server.asked) > 2 else '{"ok":false}\n')
    assert outcome(server, table(tmp_path, step(within=30))).verdict is Verdict.HELD
    assert len(server.asked) == 3


def test_upstream_is_held_to_what_the_table_says_that_it_does(tmp_path: Path, server: Server) -> None:
    server.answer = lambda _method, _path: (200, {}, '{"ok":false}\n')
    answer = {"status": 200, "body": {"ok": False}}
    known = table(tmp_path, step(upstream={"row": "W-01", "why": "it says no", "answer": answer}))
    assert outcome(server, known).verdict is Verdict.BROKEN
    assert outcome(server, known, upstream=True).verdict is Verdict.HELD
    unknown = table(tmp_path, step(upstream={"why": "it says no"}))
    assert outcome(server, unknown, upstream=True).verdict is Verdict.LEFT_OUT


def test_bodies_and_headers_are_sent_as_the_table_has_them(tmp_path: Path, server: Server) -> None:
    raw = step(request={"method": "DELETE", "path": "/", "raw": '{"a":1} more', "headers": {"X-Request-ID": "r"}})
    empty = step(name="empty", request={"method": "POST", "path": "/"})
    list(run(table(tmp_path, raw, empty), target(f"{server.url}/prefix/"), {}))
    method, path, headers, body = server.asked[0]
    assert (method, path, body, headers["X-Request-ID"]) == ("DELETE", "/prefix/", '{"a":1} more', "r")
    assert server.asked[1][2]["Content-Length"] == "0"


@pytest.mark.parametrize(
    "change",
    [
        {"nmae": "x"},
        {"request": {"method": "GET"}},
        {"request": {"method": "GET", "path": "/", "body": {}, "raw": ""}},
        {"answer": {"status": "200"}},
        {"within": True},
        {"needs": "pod"},
        {"upstream": {"row": "W-01"}},
    ],
)
def test_a_table_with_a_fault_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(TableError, match=r"table\.json: steps\[0\]"):
        table(tmp_path, {**step(), **change})


def test_two_steps_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="two steps are named 'a step'"):
        table(tmp_path, step(), step())


def test_the_program_says_how_it_went_and_ends_with_it(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [step(), step(name="wrong", answer={"status": 404}), step(name="needy", needs=["pod_uid"])]
    table(tmp_path, *made)
    path = str(tmp_path / "table.json")
    assert main([server.url, "--table", path]) == 1
    out = capsys.readouterr().out
    assert "BROKEN   wrong\n         GET /\n         status: expected 404, found 200\n" in out
    assert "left out needy: needs pod_uid\n" in out
    assert out.endswith("a table: 1 held, 1 broken, 1 left out of 3\n")
    assert "a step" not in out
    table(tmp_path, step())
    assert main([server.url, "--table", path, "--verbose"]) == 0
    assert capsys.readouterr().out.startswith("ok       a step\n")
    assert main([server.url, "--table", path, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"step": "a step", "verdict": "held", "details": []}]


def test_the_program_tells_misuse_from_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ftp://x"]) == 64
    assert main(["http://127.0.0.1:1", "--table", str(tmp_path / "none.json")]) == 64
    assert main(["http://127.0.0.1:1", "--variable", "x"]) == 64
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 64
    (tmp_path / "key.pem").write_text("pem")
    assert main(["http://127.0.0.1:1", "--public-key", str(tmp_path / "key.pem")]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_an_address_where_nobody_is_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step of the table was told as broken: hundreds of lines that said the same."""
    assert main(["http://127.0.0.1:1"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "http://127.0.0.1:1 does not answer" in told.err


@pytest.mark.parametrize("name", ["decision-maker.json", "bss.json"])
def test_our_tables_are_in_order(name: str) -> None:
    made = load(Path(__file__).parents[2] / "contract" / name)
    saved = {variable for one in made.steps for variable in one.save}
    named = {variable for one in made.steps for variable in one.needs}
    assert named | saved <= {
        *("login", "public_key", "pod_uid", "pid", "command", "runtime_config", "fresh_token"),
        *("fresh", "label_key", "label_value", "origin"),
    }
    for one in made.steps:
        assert one.upstream is None or one.upstream.why
