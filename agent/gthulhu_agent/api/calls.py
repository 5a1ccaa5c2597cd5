"""A call as a handler sees it, what can be called, and which API it belongs to. What no table has does not exist."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gthulhu_agent.agent import Refused
from gthulhu_agent.api.answers import Answer
from gthulhu_agent.api.bodies import LIMIT, SET_LIMIT
from gthulhu_agent.callers import Access, Caller


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller may make it, with its body read.

    Attributes:
        caller: None only on routes that need no login, when none or a wrong one was sent.
        peer: the address that it comes from; empty on a Unix socket.
        certificate: the identity of the client's verified certificate, where it showed one.
        content_type: of the body, as sent.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    parameters: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    caller: Caller | None = None
    peer: str = ""
    certificate: str | None = None
    content_type: str = ""

    @property
    def trusted(self) -> bool:
        """Whether the caller may know and do everything."""
        return self.caller is not None and self.caller.access >= Access.FULL


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be called: ``operation`` is the name of its handler.

    ``query`` are the parameters that it takes; others are refused, or ignored where it is ``lax``.
    ``limit`` is the most that a body may have, bytes.
    """

    method: str
    path: str
    operation: str
    access: Access = Access.FULL
    limit: int = LIMIT
    query: tuple[str, ...] = ()
    lax: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """The paths that it takes; a parameter is one segment of digits."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9]{1,10})", self.path.replace(".", r"\.")))


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Family:
    """One API on a listener.

    Attributes:
        handlers: by operation.
        owns: whether this family answers a raw path, its 404 too.
        refuse: how it says no; the methods that the path would take come with it.
        cors: origins of web pages that may call, ``*`` for all; empty refuses web pages.
        unknown: what paths that do not exist ask for.
        head: whether HEAD is answered where GET is.
    """

    name: str
    routes: tuple[Route, ...]
    handlers: Mapping[str, Handler]
    owns: Callable[[str], bool]
    refuse: Callable[[Refused, Sequence[str]], Answer]
    cors: tuple[str, ...] = ()
    unknown: Access = Access.FULL
    head: bool = True


ROUTES = (
    Route("GET", "/v1/desired", "get_desired"),
    Route("PUT", "/v1/desired", "put_desired", limit=SET_LIMIT, query=("adopt",)),
    Route("GET", "/v1/digest", "get_digest"),
    Route("GET", "/v1/state", "get_state"),
    Route("GET", "/v1/pods", "get_pods"),
    Route("GET", "/v1/processes/{pid}", "get_process"),
    Route("GET", "/v1/usage", "get_usage", query=("pod",)),
    Route("POST", "/v1/revert", "post_revert"),
    Route("POST", "/v1/resume", "post_resume"),
    Route("POST", "/v1/token", "post_token", access=Access.OPEN),
    Route("GET", "/v1/health", "get_health", access=Access.OPEN),
    Route("GET", "/v1/ready", "get_ready", access=Access.OPEN),
    Route("GET", "/v1/version", "get_version"),
    Route("GET", "/v1/openapi.json", "get_openapi"),
    Route("GET", "/metrics", "get_metrics", access=Access.LEGACY),
)
