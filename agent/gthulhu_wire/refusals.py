"""With what an agent answers no. Codes are part of the API: added to, never renamed."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """``code`` of an error answer: ``{"code", "message", "cure", ...}``."""

    BAD_REQUEST = "bad-request"
    """400: the body is not what the API asks for; ``message`` names the JSON path."""
    UNAUTHENTICATED = "unauthenticated"
    """401: no login, or one that does not hold; ``why`` says which."""
    FORBIDDEN = "forbidden"
    """403: the request comes from a web page, names a host that this agent is not, or its login is not enough."""
    NOT_FOUND = "not-found"
    """404: no such path."""
    METHOD_NOT_ALLOWED = "method-not-allowed"
    """405."""
    FOREIGN_OWNER = "foreign-owner"
    """409: another owner holds this node; ``holds`` says who, and ``?adopt=true`` takes it over."""
    STALE_GENERATION = "stale-generation"
    """409: (token, generation) is not above what the agent holds; ``holds`` says what it is."""
    TOO_LARGE = "too-large"
    """413: the body is over its limit."""
    TOO_SLOW = "too-slow"
    """408: the request did not arrive within its deadline."""
    TOO_MANY = "too-many"
    """429 with Retry-After: so many logins are tried that this one was not looked at."""
    NOT_STORED = "not-stored"
    """507: the set could not be written to disk, and the former one still holds."""
    BUSY = "busy"
    """503 with Retry-After."""
    INTERNAL = "internal"
    """500: a fault of ours; the set that held still holds."""
