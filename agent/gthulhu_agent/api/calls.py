"""A call as a handler sees it, and the table of everything that can be called. What is not in it does not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gthulhu_agent.api.bodies import LIMIT, SET_LIMIT


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller may make it, with its body read.

    ``trusted`` is False only on routes that need no secret, when none or a wrong one was sent.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    parameters: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be called: ``operation`` is the name of the handler's method.

    ``query`` are the parameters that it takes; others are refused. ``limit`` is the most that a body may have, bytes.
    """

    method: str
    path: str
    operation: str
    secret: bool = True
    limit: int = LIMIT
    query: tuple[str, ...] = ()

    @property
    def pattern(self) -> re.Pattern[str]:
        """The paths that it takes; a parameter is one segment of digits."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9]{1,10})", self.path.replace(".", r"\.")))


ROUTES = (
    Route("GET", "/v1/desired", "get_desired"),
    Route("PUT", "/v1/desired", "put_desired", limit=SET_LIMIT, query=("adopt",)),
    Route("GET", "/v1/digest", "get_digest"),
    Route("GET", "/v1/state", "get_state"),
    Route("GET", "/v1/pods", "get_pods"),
    Route("GET", "/v1/processes/{pid}", "get_process"),
    Route("POST", "/v1/revert", "post_revert"),
    Route("POST", "/v1/resume", "post_resume"),
    Route("GET", "/v1/health", "get_health", secret=False),
    Route("GET", "/v1/ready", "get_ready", secret=False),
    Route("GET", "/v1/version", "get_version"),
    Route("GET", "/v1/openapi.json", "get_openapi"),
    Route("GET", "/metrics", "get_metrics"),
)
