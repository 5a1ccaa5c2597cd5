"""One setting: its names, how it is read, and what it is without being said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how it is read from text or TOML, what it takes, what it is without being said, and why it is.

    Attributes:
        name: as a TOML file has it, with its section.
        fills: the setting that takes its value where nothing sets that one itself.
        secret: whether what was said is never repeated.
        credential: whether ``credential:NAME`` may stand for a path.
        variable: somebody else's variable, whose value is the default where it has one.
    """

    name: str
    parse: Callable[[object], object]
    takes: str
    default: Callable[[Mapping[str, str]], object]
    text: str
    fills: str = ""
    secret: bool = False
    credential: bool = False
    variable: str = ""

    @property
    def field(self) -> str:
        """As Python, and in capitals the environment, has it."""
        return self.name.replace(".", "_")

    @property
    def option(self) -> str:
        """As the command line has it."""
        return f"--{self.field.replace('_', '-')}"


def always(value: object) -> Callable[[Mapping[str, str]], object]:
    """The default of a setting whose default depends on nothing."""
    return lambda _environ: value
