"""Asking an agent over TLS, with certificates that are checked, and saying what is wrong where it does not answer."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme
from agent_harness import SECRET

from gthulhu_agent.asking import Keys, find
from gthulhu_agent.errors import AgentError, UsageError


class _Says(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = json.dumps({"message": self.headers.get("Authorization", "nobody"), "path": self.path}).encode()
        self.send_response(401 if self.path == "/no" else 200)
        self.end_headers()
        self.wfile.write(b"nonsense" if self.path == "/nonsense" else told)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Nothing."""


class _Server(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what is tried here."""


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), _Says)
    if context is not None:
        # A handshake that fails in accept() would leave its socket open.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def secret_file(folder: Path) -> Path:
    file = folder / "secret"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    return file


def test_the_secret_goes_to_whom_the_url_names(tmp_path: Path) -> None:
    with served() as port:
        agent = find(f"http://127.0.0.1:{port}", Keys(secret_file=secret_file(tmp_path)), tmp_path)
        assert agent.get("/v1/usage") == {"message": f"Bearer {SECRET.decode()}", "path": "/v1/usage"}
        assert find(f"http://127.0.0.1:{port}/", Keys(), tmp_path).get("/")["message"] == "nobody"


def test_a_client_certificate_is_shown_and_the_agent_s_is_checked(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("operator@example.com")
    keys = Keys(ca_file=tmp_path / "ca", cert_file=tmp_path / "cert", key_file=tmp_path / "key")
    authority.cert_pem.write_to_path(tmp_path / "ca")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    client.private_key_pem.write_to_path(tmp_path / "key")
    stranger.cert_pem.write_to_path(tmp_path / "stranger")
    with served(context) as port:
        url = f"https://127.0.0.1:{port}"
        assert find(url, keys, tmp_path).get("/")["path"] == "/"
        with pytest.raises(AgentError, match=r"does not answer.*verif"):
            find(url, Keys(ca_file=tmp_path / "stranger"), tmp_path).get("/")


def test_what_is_no_certificate_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("nothing")
    for keys in (Keys(ca_file=tmp_path / "ca"), Keys(cert_file=tmp_path / "none")):
        with pytest.raises(UsageError, match="files for TLS"):
            find("https://127.0.0.1:1", keys, tmp_path)


def test_no_and_nonsense_and_silence_are_errors_with_a_name(tmp_path: Path) -> None:
    with served() as port:
        agent = find(f"http://127.0.0.1:{port}", Keys(), tmp_path)
        with pytest.raises(AgentError, match=f"127.0.0.1:{port} says no: nobody") as no:
            agent.get("/no")
        assert no.value.cure == "name its --secret-file"
        with pytest.raises(AgentError, match="does not answer"):
            agent.get("/nonsense")
    with pytest.raises(AgentError, match="does not answer"):
        agent.get("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 \x1b]0;x\x07\r\n\r\n",
        b"\x1b]0;x\x07\r\n\r\n",
        b'HTTP/1.1 409 No\r\n\r\n{"message":"\\u001b]0;x","cure":"\\u001b]0;\\u009b"}',
        b'HTTP/1.1 409 No\r\n\r\n{"message":{"\\u001b":"\\u001b"},"cure":["\\u001b"]}',
    ],
)
def test_an_agent_that_says_no_wrote_on_the_terminal(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def say() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=say)
        thread.start()
        try:
            with pytest.raises(AgentError) as no:
                find(f"http://127.0.0.1:{server.getsockname()[1]}", Keys(), tmp_path).get("/")
        finally:
            thread.join()
    assert str(no.value).isprintable()
    assert no.value.cure.isprintable()
