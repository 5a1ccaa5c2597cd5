"""Labels of this node's pods, from the API server: one list, then a watch. Plain HTTPS, metadata only.

What was learnt stays while the API server cannot be reached: it is old, and better than none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gthulhu_agent.errors import UsageError
from gthulhu_agent.legacy.labels import Labelled
from gthulhu_agent.legacy.podmetadata import Gone, NotUnderstood, Told, read_event, read_page

if TYPE_CHECKING:
    import ssl

    import aiohttp

IN_CLUSTER = "in-cluster"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_AS = "application/json;as={};g=meta.k8s.io;v=v1, application/json"
"""Metadata alone where the API server can (since 1.15): a tenth of the bytes, and no secrets of environments."""
_PAGE = 100
_PAGE_BYTES = 32 * 1024 * 1024
_LINE_BYTES = 4 * 1024 * 1024
"""etcd takes objects of 1.5 MiB."""
_MOST_PODS = 4096
"""Many times what a kubelet runs; more is the answer to another question."""
_TOKEN_BYTES = 64 * 1024
_WATCH_SECONDS = 300
_LIST_TIMEOUT = 30.0
_SLACK = 30.0
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 60.0
_OK, _UNAUTHORIZED, _FORBIDDEN, _GONE = 200, 401, 403, 410

_log = structlog.stdlib.get_logger("gthulhu_agent.kubernetes")


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is, and the files that let us in. They are read anew each time: tokens are renewed."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None


class Trouble(Exception):  # noqa: N818 - says what is the matter
    """The API server did not tell what it was asked; the text says why, ``cure`` what to do."""

    def __init__(self, text: str, cure: str = "it is tried again by itself") -> None:
        super().__init__(text)
        self.cure = cure


def api_server(said: str, token_file: Path | None, ca_file: Path | None, environ: Mapping[str, str]) -> ApiServer:
    """The API server that the settings name: a URL, or ``in-cluster`` for the one of the pod that we run in.

    Raises:
        UsageError: in-cluster, and this is no pod.
    """
    if said != IN_CLUSTER:
        return ApiServer(said.rstrip("/"), token_file, ca_file)
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise UsageError(
            "bss.kubernetes: in-cluster, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
            cure="run the agent as a pod, or give the URL of the API server",
        )
    name = f"[{host}]" if ":" in host else host
    return ApiServer(f"https://{name}:{port}", token_file or _ACCOUNT / "token", ca_file or _ACCOUNT / "ca.crt")


class PodWatch:
    """Keeps the labels of the pods of one node. Belongs to the event loop's thread.

    Attributes:
        labelled: by uid, as the cgroup tree has it; replaced, never changed, so that other threads may read it.
        synced: whether all pods were listed once since the start; until then what is missing is unknown.
        trouble: why nothing is told at the moment; None when all is well.
    """

    def __init__(
        self,
        server: ApiServer,
        node: str,
        *,
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labelled: Mapping[str, Labelled] = {}
        self.synced = False
        self.trouble: Trouble | None = None
        self._server = server
        self._node = node
        self._changed = changed
        self._sleep = sleep
        self._jitter = jitter
        self._monotonic = monotonic
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """List and watch until cancelled; what fails is tried again, ever more slowly."""
        while True:
            try:
                await self._follow()
            except Gone:
                _log.info("the API server has forgotten what it told; listing anew")
            except Trouble as trouble:
                self._say(trouble)
            # Half of it at random: all agents of a cluster lose the API server at the same moment.
            await self._sleep(self._pause * (1 + self._jitter()) / 2)
            self._pause = min(self._pause * 2, _LAST_PAUSE)

    async def _follow(self) -> None:
        import aiohttp  # noqa: PLC0415 - the client half is loaded only where an API server is asked

        tls = self._tls()
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=True if tls is None else tls, limit=2)
            ) as session:
                version = await self._list(session)
                while True:
                    version = await self._watch(session, version)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Trouble(f"{self._server.url}: {str(error) or type(error).__name__}") from error
        except NotUnderstood as error:
            raise Trouble(f"{self._server.url}: {error}", "is it an API server of Kubernetes?") from error

    async def _list(self, session: aiohttp.ClientSession) -> str:
        found: dict[str, Labelled] = {}
        following = ""
        while True:
            query = {"limit": str(_PAGE), **({"continue": following} if following else {})}
            async with self._asked(session, query, "PartialObjectMetadataList", _LIST_TIMEOUT) as answer:
                page = read_page(await _read(answer))
            found |= {known.pod.uid: known for known in page.pods}
            if len(found) > _MOST_PODS:
                raise Trouble(f"{self._server.url}: more than {_MOST_PODS} pods are said to be on {self._node}")
            following = page.following
            if not following:
                break
        self._pause = _FIRST_PAUSE
        if self.trouble is not None:
            _log.info("the API server answers again")
        was_synced, self.synced, self.trouble = self.synced, True, None
        if found != self.labelled or not was_synced:
            self.labelled = found
            self._changed()
        return page.version

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        started = self._monotonic()
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._asked(session, query, "PartialObjectMetadata", _WATCH_SECONDS + _SLACK) as answer:
            async for line in _lines(answer):
                told = read_event(line)
                version = told.version
                self._take(told)
        if self._monotonic() - started < _FIRST_PAUSE:
            raise Trouble(f"{self._server.url}: it ends each watch at once")
        return version

    def _take(self, told: Told) -> None:
        if told.pod is None:
            return
        uid = told.pod.pod.uid
        if told.gone:
            if uid not in self.labelled:
                return
            self.labelled = {known: value for known, value in self.labelled.items() if known != uid}
        elif self.labelled.get(uid) == told.pod:
            return
        elif len(self.labelled) < _MOST_PODS:
            self.labelled = {**self.labelled, uid: told.pod}
        self._changed()

    @asynccontextmanager
    async def _asked(
        self, session: aiohttp.ClientSession, query: Mapping[str, str], kind: str, silence: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp  # noqa: PLC0415 - as above

        headers = {"Accept": _AS.format(kind), "User-Agent": "gthulhu-agent"}
        if self._server.token_file is not None:
            headers["Authorization"] = f"Bearer {_token(self._server.token_file)}"
        async with session.get(
            f"{self._server.url}/api/v1/pods",
            params={"fieldSelector": f"spec.nodeName={self._node}", **query},
            headers=headers,
            allow_redirects=False,  # the token is for this server alone
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence),
        ) as answer:
            if answer.status == _GONE:
                raise Gone
            if answer.status != _OK:
                raise _refused(self._server, answer.status)
            yield answer

    def _tls(self) -> ssl.SSLContext | None:
        if not self._server.url.lower().startswith("https:"):
            return None
        import ssl  # noqa: PLC0415 - most agents ask no API server

        try:
            return ssl.create_default_context(cafile=self._server.ca_file)
        except OSError as error:
            raise Trouble(
                f"{self._server.ca_file}: {error.strerror or error}", "bss.kubernetes_ca_file names the file"
            ) from error

    def _say(self, trouble: Trouble) -> None:
        if self.trouble is None or str(self.trouble) != str(trouble):
            _log.warning("labels of pods are not told", why=str(trouble), cure=trouble.cure)
        new = self.trouble is None
        self.trouble = trouble
        if new:
            self._changed()


def _refused(server: ApiServer, status: int) -> Trouble:
    match status:
        case _ if status == _UNAUTHORIZED:
            return Trouble(f"{server.url}: the token is not taken (401)", "bss.kubernetes_token_file names its file")
        case _ if status == _FORBIDDEN:
            return Trouble(
                f"{server.url}: this account may not list pods (403)", "give it get, list and watch on pods by RBAC"
            )
        case _:
            return Trouble(f"{server.url}: answers {status}")


def _token(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            text = stream.read(_TOKEN_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not ASCII"
        raise Trouble(f"{path}: {why}", "bss.kubernetes_token_file names the file") from error
    if not text or not text.isprintable() or " " in text:
        raise Trouble(f"{path}: holds no token", "bss.kubernetes_token_file names the file")
    return text


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _PAGE_BYTES:
            raise NotUnderstood(f"a page of pods has more than {_PAGE_BYTES} bytes")
    return bytes(body)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > _LINE_BYTES:
            raise NotUnderstood(f"an event has more than {_LINE_BYTES} bytes")
