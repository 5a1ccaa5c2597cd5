"""Gthulhu's scheduler daemon, where one runs beside the agent: runtime configurations are its to apply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from gthulhu_agent.legacy.runtime import DaemonFault
from gthulhu_agent.legacy.runtime_config import RuntimeConfig, RuntimeStatus, as_json, of_json

_MOST = 64 * 1024
"""Bytes of an answer."""
_QUOTED = 200

_T = TypeVar("_T", str, bool, int)


@dataclass(frozen=True, slots=True)
class HttpDaemon:
    """The daemon at ``endpoint``, a URL without a path; ``timeout`` is seconds."""

    endpoint: str
    timeout: float

    async def apply(self, config: RuntimeConfig) -> None:
        """Have it run with ``config``. Flags that are false are sent as false: absent means keep, there (W-20).

        Raises:
            DaemonFault: it cannot be reached, or does not say yes.
        """
        answer = await self._call("POST", "/api/v1/runtime-config", as_json(config))
        if answer.get("success") is not True:
            raise DaemonFault(f"{self.endpoint} does not say that it applied the configuration")

    async def status(self) -> RuntimeStatus:
        """What it runs with.

        Raises:
            DaemonFault: it cannot be reached, or says something else.
        """
        answer = await self._call("GET", "/api/v1/status", None)
        data = answer.get("data")
        if answer.get("success") is not True or not isinstance(data, dict):
            raise DaemonFault(f"{self.endpoint} answers no status")
        try:
            return _status(data)
        except TypeError as error:
            raise DaemonFault(f"{self.endpoint} answers a status that cannot be read: {error}") from error

    def _connector(self) -> aiohttp.TCPConnector:
        if not self.endpoint.lower().startswith("https:"):
            return aiohttp.TCPConnector()
        import ssl  # noqa: PLC0415 - daemons listen on loopback as a rule, without TLS

        return aiohttp.TCPConnector(ssl=ssl.create_default_context())

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None) -> Mapping[str, Any]:
        url = f"{self.endpoint.rstrip('/')}{path}"
        limits = aiohttp.ClientTimeout(total=self.timeout)
        try:
            async with (
                aiohttp.ClientSession(connector=self._connector(), timeout=limits) as session,
                session.request(method, url, json=body, allow_redirects=False) as answer,
            ):
                text = (await _text(answer)).decode(errors="replace")
                if answer.status != 200:  # noqa: PLR2004 - HTTP
                    raise DaemonFault(f"{url} answers {answer.status}: {text[:_QUOTED].strip()}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = str(error) or f"no answer within {self.timeout:g} s"
            raise DaemonFault(f"{url} cannot be reached: {reason}") from error
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        return value if isinstance(value, dict) else {}


async def _text(answer: aiohttp.ClientResponse) -> bytes:
    """As much of the body as is looked at; one read gives no more than has arrived."""
    text = bytearray()
    async for chunk in answer.content.iter_any():
        text += chunk
        if len(text) >= _MOST:
            break
    return bytes(text[:_MOST])


def _status(data: Mapping[str, Any]) -> RuntimeStatus:
    return RuntimeStatus(
        version=_field(data, "configVersion", ""),
        applied=_field(data, "applied", False),
        applied_at=_field(data, "appliedAt", ""),
        restarts=_field(data, "restartCount", 0),
        last_error=_field(data, "lastError", ""),
        config=of_json(data) if _field(data, "configAvailable", False) else None,
    )


def _field(data: Mapping[str, Any], name: str, default: _T) -> _T:
    value = data.get(name)
    if value is None:
        return default
    if type(value) is not type(default):
        raise TypeError(f"{name} is no {type(default).__name__}")
    return value
