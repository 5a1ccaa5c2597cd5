"""What no setting can judge alone: what belongs together, what shuts something out, what has no effect."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gthulhu_agent.configuring.listens import Listen
from gthulhu_agent.configuring.said import Said
from gthulhu_agent.secrettext import SecretText

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s+(.*?)-----END \1-----", re.DOTALL)
_HEADER = re.compile(r"^[A-Za-z-]+:.*$", re.MULTILINE)
"""Of an encrypted key (RFC 1421)."""
_KEY = "PRIVATE KEY"
_PORTS = {"http": 80, "https": 443}
_HERE = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}  # noqa: S104 - compared, not listened on


class Checks:
    """Of one set of settings: ``values`` by field, and who ``said`` them, where somebody did."""

    def __init__(self, values: Mapping[str, Any], said: Mapping[str, Said]) -> None:
        self._values = values
        self._said = said

    def faults(self) -> Iterator[str]:
        """What cannot be."""
        yield from self._tls()
        for field in in_force(mtls=self._values["mtls_enable"], token=self._values["token_enable"]):
            yield from self._pem(field)
        yield from self._daemon()

    def warnings(self) -> Iterator[str]:
        """What was said and does nothing."""
        for one in self._said.values():
            if one.setting.fills in self._said:
                yield f"{one.where}: {one.setting.name} is without effect: {one.setting.fills} is set too"
        if not self._values["mtls_enable"]:
            yield from self._without_effect("mtls_clients", "mtls.enable is false")
        if not self._values["token_enable"]:
            yield from self._without_effect("token_clients", "token.enable is false")
            yield from self._without_effect("compat_public_key_login", "token.enable is false")
        if all(one.api != "bss" for one in self._values["listen"]):
            for field in self._values:
                if field.startswith("bss_"):
                    yield from self._without_effect(field, "no listener has api=bss")

    def _without_effect(self, field: str, why: str) -> Iterator[str]:
        if field in self._said and self._values[field]:
            yield f"{self._place(field)} is without effect: {why}"

    def _place(self, field: str) -> str:
        one = self._said[field]
        return f"{one.where}: {one.setting.name}"

    def _tls(self) -> Iterator[str]:
        values = self._values
        if values["mtls_enable"]:
            for field in ("mtls_cert_pem", "mtls_key_pem", "mtls_ca_pem"):
                if values[field] is None:
                    yield f"{self._place('mtls_enable')} needs {field.replace('_', '.', 1)}"
        given = [field for field in ("tls_cert_pem", "tls_key_pem") if values[field] is not None]
        if len(given) == 1:
            yield f"{self._place(given[0])} needs {'tls.key_pem' if given[0] == 'tls_cert_pem' else 'tls.cert_pem'}"
        if given and values["mtls_enable"]:
            yield f"{self._place(given[0])} is instead of mtls.enable, and both are set"

    def _pem(self, field: str) -> Iterator[str]:
        pem: SecretText | None = self._values[field]
        if pem is None or pem.path is not None:
            return
        one = self._said[field]
        wanted = _KEY if pem.private else "CERTIFICATE"
        if not holds(pem.reveal(), wanted):
            yield f"{self._place(field)} holds no {wanted} block: a placeholder, or cut off"
        elif not pem.private and _KEY in pem.reveal():
            yield f"{self._place(field)} holds a private key, and is not where one is kept"
        elif pem.private and one.where.startswith("--"):
            yield f"{self._place(field)} is seen by every user of this machine here: name a file"
        elif pem.private and one.exposed:
            yield f"{self._place(field)} is a private key in a file that others may read: chmod 600 it"

    def _daemon(self) -> Iterator[str]:
        endpoint = urlsplit(self._values["daemon_endpoint"])
        port = endpoint.port or _PORTS.get(endpoint.scheme)
        if endpoint.hostname in _HERE and port in {_port(one) for one in self._values["listen"]}:
            yield f"{self._place('daemon_endpoint')} is where this agent itself listens"


def in_force(*, mtls: bool, token: bool) -> tuple[str, ...]:
    """The fields of PEM that matter: the default file of a Decision Maker has placeholders where mTLS is off."""
    keys = ("token_rsa_private_key_pem",) if token else ()
    peers = ("mtls_cert_pem", "mtls_key_pem", "mtls_ca_pem") if mtls else ()
    return (*keys, *peers, "tls_cert_pem", "tls_key_pem")


def holds(text: str, wanted: str) -> bool:
    """Whether there is a block of PEM that is called ``wanted``, or of a kind of it, and all such have contents."""
    blocks = [body for label, body in _BLOCK.findall(text) if label.endswith(wanted)]
    return bool(blocks) and all(map(_decodes, blocks))


def _decodes(body: str) -> bool:
    try:
        return bool(base64.b64decode("".join(_HEADER.sub("", body).split()), validate=True))
    except binascii.Error:
        return False


def _port(one: Listen) -> int | None:
    """None of a Unix socket."""
    return None if one.address.startswith("unix:") else int(one.address.rpartition(":")[2])
