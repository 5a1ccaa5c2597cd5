"""HTTP as a table needs it: any method, any body, exactly the headers that it names."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contract.matching import Json, TableError
from contract.table import Request, unique

TIMEOUT = 30.0
"""Seconds without a byte after which a call is given up."""


class Unreachable(Exception):  # noqa: N818 - says what is the matter
    """No HTTP answer came."""


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Json:
        """The body.

        Raises:
            ValueError: it is no JSON document with keys that are there once.
        """
        return json.loads(self.text, object_pairs_hook=unique)


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked."""

    host: str
    port: int
    path: str = ""
    tls: ssl.SSLContext | None = None

    def call(self, request: Request, token: str | None) -> Got:
        """Send ``request``; its answer.

        Raises:
            Unreachable: no answer came.
        """
        connection = self._connection()
        data = request.raw if request.raw is not None else _encode(request.body)
        try:
            connection.putrequest(request.method, f"{self.path}{request.path}", skip_accept_encoding=True)
            for name, value in _headers(request, data, token).items():
                connection.putheader(name, value)
            connection.endheaders(None if data is None else data.encode("utf-8", "surrogateescape"))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{request.method} {request.path}: {type(error).__name__} {error}") from error
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Got(response.status, headers, body.decode("utf-8", "replace"))

    def check(self) -> None:
        """See that somebody is there.

        Raises:
            Unreachable: nobody takes a connection.
        """
        connection = self._connection()
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"{type(error).__name__} {error}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=self.tls)


def target(url: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> Target:
    """The target that ``url`` names, with the certificates that it is to be trusted by and called with.

    Raises:
        TableError: it is no HTTP URL, or a file is no certificate.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise TableError(f"{url}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TableError(f"{url}: is not http://HOST:PORT or https://HOST:PORT")
    tls = None
    if parts.scheme == "https":
        try:
            tls = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                tls.load_cert_chain(certificate, key)
        except OSError as error:
            raise TableError(f"certificates: {error}") from error
    return Target(parts.hostname, port or (80 if tls is None else 443), parts.path.rstrip("/"), tls)


def _headers(request: Request, data: str | None, token: str | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if request.auth == "token":
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
    elif request.auth != "none":
        headers["Authorization"] = request.auth
    if data is not None:
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(data.encode("utf-8", "surrogateescape")))
    elif request.method in ("POST", "PUT", "DELETE"):
        headers["Content-Length"] = "0"
    return {**headers, **request.headers}


def _encode(body: Json) -> str | None:
    return None if body is None else json.dumps(body, separators=(",", ":"))
