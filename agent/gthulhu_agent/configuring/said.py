"""What a file and the environment say, each with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.configuring.credentials import CredentialMissing, resolved
from gthulhu_agent.configuring.decision_maker import WITHOUT_EFFECT
from gthulhu_agent.configuring.setting import Setting
from gthulhu_agent.settingsfile import read

PREFIX = "GTHULHU_AGENT_"
DM_PREFIX = "DM_"
_SHOWN = 200
_ALIKE = {True: 0.7, False: 0.6}
"""How much alike what is meant has to be: names of sections are short, and all a little alike."""
_WHERE_IT_IS = {f"{PREFIX}CONFIG", f"{DM_PREFIX}CONFIG_NAME", f"{DM_PREFIX}CONFIG_DIR_PATH"}
_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")
"""What Kubernetes adds to every pod's environment when a Service is called gthulhu-agent, or dm."""


@dataclass(frozen=True, slots=True)
class Said:
    """One value for one setting, as somebody wrote it, and where; ``exposed`` where others may read it there."""

    where: str
    setting: Setting
    said: object = field(repr=False)
    exposed: bool = False

    def value(self, environ: Mapping[str, str]) -> object:
        """What it means.

        Raises:
            ValueError: it is nothing that the setting takes.
            TypeError: it is nothing that the setting takes.
        """
        said = resolved(self.said, environ) if self.setting.credential else self.said
        return self.setting.parse(said)

    def fault(self, error: Exception) -> str:
        """What to say of a value that the setting does not take."""
        if isinstance(error, CredentialMissing):
            return f"{self.where}: {self.setting.name}: {error}"
        told = f"{self.where}: {self.setting.name} takes {self.setting.takes}"
        # A key may stand where it does not belong.
        hidden = self.setting.secret or "PRIVATE KEY" in str(self.said)
        shown = repr(self.said)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return f"{told}, and this is something else" if hidden else f"{told}, not {shown}"


def from_file(file: Path, known: Mapping[str, Setting], faults: list[str], warnings: list[str]) -> list[Said]:
    """What ``file`` says; keys that are no settings are faults."""
    found: list[Said] = []
    sections = {name.partition(".")[0] for name in known if "." in name}
    for entry in read(file, sections):
        if entry.key in known:
            found.append(Said(entry.where, known[entry.key], entry.value, entry.exposed))
        elif entry.key in WITHOUT_EFFECT:
            warnings.append(f"{entry.where}: {entry.key} is without effect: {WITHOUT_EFFECT[entry.key]}")
        elif entry.key in sections:
            faults.append(f"{entry.where}: '{entry.key}' is a section: [{entry.key}]")
        else:
            table = isinstance(entry.value, dict) and "." not in entry.key
            faults.append(_unknown(entry.where, entry.key, sections if table else known, _ALIKE[table]))
    return found


def from_others(environ: Mapping[str, str], settings: Iterable[Setting]) -> list[Said]:
    """Defaults that variables of others give, as Kubernetes' downward API does."""
    return [Said(one.variable, one, environ[one.variable]) for one in settings if environ.get(one.variable)]


def from_environment(
    environ: Mapping[str, str], known: Mapping[str, Setting], faults: list[str], warnings: list[str]
) -> list[Said]:
    """What the variables of ours say, after those of a Decision Maker, which may be another program's."""
    return [*_of_a_decision_maker(environ, known, warnings), *_ours(environ, known, faults)]


def _ours(environ: Mapping[str, str], known: Mapping[str, Setting], faults: list[str]) -> list[Said]:
    found: list[Said] = []
    for variable, name in _variables(environ, PREFIX):
        if name.lower() in known and name.isupper():
            found.append(Said(variable, known[name.lower()], environ[variable]))
        else:
            faults.append(_unknown(variable, name.lower(), known))
    return found


def _of_a_decision_maker(environ: Mapping[str, str], known: Mapping[str, Setting], warnings: list[str]) -> list[Said]:
    sectioned = {name: setting for name, setting in known.items() if "." in setting.name}
    without_effect = {name.replace(".", "_"): name for name in WITHOUT_EFFECT}
    found: list[Said] = []
    for variable, name in _variables(environ, DM_PREFIX):
        if not environ[variable]:
            continue  # Gthulhu takes an empty variable for none
        if name.lower() in sectioned and name.isupper():
            found.append(Said(variable, sectioned[name.lower()], environ[variable]))
        elif name.lower() in without_effect:
            key = without_effect[name.lower()]
            warnings.append(f"{variable}: {key} is without effect: {WITHOUT_EFFECT[key]}")
        else:
            warnings.append(_unknown(variable, name.lower(), sectioned))
    return found


def _variables(environ: Mapping[str, str], prefix: str) -> list[tuple[str, str]]:
    found = ((variable, variable.removeprefix(prefix)) for variable in sorted(environ) if variable.startswith(prefix))
    return [
        (variable, name)
        for variable, name in found
        if variable not in _WHERE_IT_IS and not _SERVICE_LINK.fullmatch(name)
    ]


def _unknown(where: str, key: str, known: Iterable[str], alike: float = _ALIKE[False]) -> str:
    likely = difflib.get_close_matches(key.lower(), known, n=1, cutoff=alike)
    return f"{where}: '{key}' is not a setting" + (f"; did you mean '{likely[0]}'?" if likely else "")
