"""Where the agent listens and what each listener speaks, as ``listen`` says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from gthulhu_agent.loopback import is_loopback
from gthulhu_wire.dialects import Dialect

Api = Literal["dm", "bss", "none"]
TAKES = (
    "ADDRESS:PORT, [IPV6]:PORT, *:PORT or unix:/path, up to eight, "
    "each with ,api=dm|bss|none and ,dialect=priority|kernel|user|bool where wanted"
)
_MOST = 8
_PORT_MAX = 65535
_DIALECTS = {"dm": Dialect.KERNEL, "bss": Dialect.BOOL, "none": Dialect.PRIORITY}


@dataclass(frozen=True, slots=True)
class Listen:
    """One address, the compatible API beside ``/v1`` on it, and the scale of priority that its callers mean."""

    address: str
    api: Api = "dm"
    dialect: Dialect = Dialect.KERNEL

    @property
    def local(self) -> bool:
        """Whether its address is plainly one that no other machine reaches; of a name only localhost is."""
        return self.address.startswith("unix:") or is_loopback(self.address.rpartition(":")[0])

    def __str__(self) -> str:
        default = _DIALECTS[self.api]
        said = "" if self.api == "dm" else f",api={self.api}"
        return f"{self.address}{said}" + ("" if self.dialect is default else f",dialect={self.dialect.value}")


def listens(value: object) -> tuple[Listen, ...]:
    """The listeners that a text, separated by white space, or a list names.

    Raises:
        TypeError: it is neither.
        ValueError: it names none, too many, one twice, or one that is not as :data:`TAKES` has it.
    """
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    found = tuple(_listen(one) for one in value)
    fixed = [one.address for one in found if not one.address.endswith(":0")]
    if not 1 <= len(found) <= _MOST or len(fixed) != len(set(fixed)):
        raise ValueError(value)
    return found


def go_address(host: str) -> str:
    """``host`` of a Decision Maker, in Go's writing: ``:8080`` is every address of this machine.

    Raises:
        ValueError: it has no port.
    """
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:,\s]*):(\d{1,5})", host)
    if match is None or int(match[2]) > _PORT_MAX:
        raise ValueError(host)
    return f"{match[1] or '*'}:{int(match[2])}"


def _listen(value: object) -> Listen:
    if not isinstance(value, str):
        raise TypeError(value)
    address, *said = value.strip().split(",")
    if not _is_address(address):
        raise ValueError(value)
    options: dict[str, str] = {}
    for one in said:
        name, equals, word = one.partition("=")
        if not equals or name in options or name not in {"api", "dialect"}:
            raise ValueError(value)
        options[name] = word
    api = _api(options.get("api", "dm"))
    if api == "none" and "dialect" in options:
        raise ValueError(value)  # nobody would speak it
    dialect = Dialect(options["dialect"]) if "dialect" in options else _DIALECTS[api]
    if api == "bss" and dialect is not Dialect.BOOL:
        raise ValueError(value)  # its priorities are booleans on the wire
    return Listen(address, api, dialect)


def _is_address(text: str) -> bool:
    if text.startswith("unix:"):
        return "\n" not in text and text != "unix:"  # the path is judged, with its cure, when it is opened
    match = re.fullmatch(r"(?:\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:\s]+):(\d{1,5})", text)
    return match is not None and int(match[1]) <= _PORT_MAX


def _api(word: str) -> Api:
    for one in get_args(Api):
        if word == one:
            found: Api = one
            return found
    raise ValueError(word)
