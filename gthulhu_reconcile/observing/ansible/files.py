"""Hosts files, ``group_vars`` and ``host_vars`` of an inventory. What only Ansible could work out is named."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gthulhu_reconcile.loading import yamltree
from gthulhu_reconcile.loading.document import Document, Value
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.source import shown, whole_file
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.observing.ansible.groups import ALL, Groups, Variables, Written
from gthulhu_reconcile.observing.ansible.ranges import MAX_HOSTS, expand

LIMITS = yamltree.Limits(file_bytes=16 << 20, events=2_000_000)
OURS = frozenset(
    {
        "ansible_host",
        "ansible_group_priority",
        "gthulhu_node_name",
        "gthulhu_agent_url",
        "gthulhu_agent_port",
        "gthulhu_node_labels",
        "gthulhu_secret_file",
    }
)
"""The variables that are read; all others are Ansible's or the roles' business."""
_PREFIX = "gthulhu_"
YAML = (".yml", ".yaml", ".json")
_IGNORED = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
"""What Ansible itself overlooks in an inventory folder."""
_VARIABLE_FOLDERS = ("group_vars", "host_vars", "vars_plugins")
_MAX_DEPTH = 8
_SECTIONS = ("hosts", "children", "vars")
_OPAQUE_TAGS = ("'!vault'", "'!unsafe'")

Pointer = tuple[str | int, ...]


class Reader:
    """Reads inventory files into one :class:`Groups`; ``found`` is what is wrong with them."""

    def __init__(self) -> None:
        self.groups = Groups()
        self.found: list[Diagnostic] = []
        self._beside: dict[Path, None] = {}

    def source(self, path: str) -> None:
        """One ``-i`` of Ansible: a hosts file or a folder of them."""
        place = Path(path)
        if _is_folder(place):
            self._folder(place, 0)
            self._beside[place] = None
        else:
            self._hosts_file(place)
            self._beside[place.parent] = None

    def finish(self) -> Groups:
        """The whole inventory, with the variables in ``group_vars`` and ``host_vars`` beside its sources."""
        self.groups.group(ALL)
        for place in self._beside:
            self._variables_beside(place)
        return self.groups

    def _folder(self, place: Path, depth: int) -> None:
        for entry in self._entries(place):
            if entry.name.startswith(".") or entry.name in _VARIABLE_FOLDERS or entry.name.endswith(_IGNORED):
                continue
            if not _is_folder(entry):
                self._hosts_file(entry)
            elif depth < _MAX_DEPTH:
                self._folder(entry, depth + 1)
            else:
                self._refuse(entry, Code.TOO_LARGE, f"is nested deeper than {_MAX_DEPTH} folders")

    def _entries(self, place: Path) -> list[Path]:
        try:
            return sorted(place / name for name in os.listdir(place))  # noqa: PTH208 - iterdir hides errors until used
        except OSError as error:
            self._refuse(place, Code.UNREADABLE, f"cannot be read: {error.strerror or error}")
            return []

    def _refuse(self, path: Path, code: Code, message: str, hint: str = "") -> None:
        self.found.append(whole_file(str(path), code, message, hint=hint))

    def _hosts_file(self, path: Path) -> None:
        data = self._bytes(path)
        if data is None:
            return
        foreign = _foreign(path, data)
        if foreign:
            self._refuse(path, Code.NOT_SUPPORTED, foreign, "agents are read from YAML inventories (.yml, .yaml)")
            return
        for document in self._documents(data, path):
            self._groups_of(document)

    def _groups_of(self, document: Document) -> None:
        body = document.value
        if body is None:
            return
        if not isinstance(body, dict):
            hint = "an inventory in YAML begins with 'all:' or another group"
            self.found.append(document.diagnose(Code.WRONG_TYPE, (), "is not a mapping of groups", hint=hint))
            return
        if "plugin" in body:
            message = "configures an inventory plugin, which is not run: hosts and groups that it makes are not known"
            self.found.append(
                document.diagnose(Code.NOT_SUPPORTED, ("plugin",), message, key=True, severity=Severity.WARNING)
            )
            return
        for name, value in body.items():
            self._group(document, (name,), name, value)

    def _group(self, document: Document, pointer: Pointer, name: str, value: Value) -> None:
        group = self.groups.group(name)
        if value is None:
            return
        if not isinstance(value, dict):
            self.found.append(document.diagnose(Code.WRONG_TYPE, pointer, f"group {shown(name)} must be a mapping"))
            return
        for key in value:
            if key not in _SECTIONS:
                hint = "a group has hosts, children and vars; a group inside of a group belongs into children"
                self.found.append(
                    document.diagnose(
                        Code.UNKNOWN_KEY, (*pointer, key), f"{shown(key)} is not allowed here", key=True, hint=hint
                    )
                )
        group.variables.update(self._variables(document, (*pointer, "vars"), value.get("vars")))
        for child, body in self._section(document, (*pointer, "children"), value.get("children")):
            if not self.groups.adopt(name, child):
                message = f"group {shown(child)} would be inside of itself"
                self.found.append(document.diagnose(Code.NOT_ALLOWED, (*pointer, "children", child), message, key=True))
                continue
            self._group(document, (*pointer, "children", child), child, body)
        for pattern, body in self._section(document, (*pointer, "hosts"), value.get("hosts")):
            self._hosts(document, (*pointer, "hosts", pattern), pattern, body, name)

    def _section(self, document: Document, pointer: Pointer, value: Value) -> Iterator[tuple[str, Value]]:
        if isinstance(value, str):
            yield value, None
        elif isinstance(value, dict):
            yield from value.items()
        elif value is not None:
            message = f"{shown(pointer[-1])} must be a mapping"
            hint = "write each name as a key, with a colon at its end and no dash before it"
            self.found.append(document.diagnose(Code.WRONG_TYPE, pointer, message, hint=hint))

    def _hosts(self, document: Document, pointer: Pointer, pattern: str, body: Value, group: str) -> None:
        try:
            names = expand(pattern)
        except ValueError as error:
            self.found.append(document.diagnose(Code.BAD_FORMAT, pointer, str(error), key=True))
            return
        variables = self._variables(document, pointer, body)
        for name in names:
            if len(self.groups.hosts) >= MAX_HOSTS and name not in self.groups.hosts:
                message = f"there are more than {MAX_HOSTS:,} hosts"
                self.found.append(document.diagnose(Code.TOO_LARGE, pointer, message, key=True))
                return
            host = self.groups.host(name, Written(pattern, document, pointer))
            host.variables.update(variables)
            host.groups.add(group)

    def _variables(self, document: Document, pointer: Pointer, value: Value) -> Variables:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.found.append(document.diagnose(Code.WRONG_TYPE, pointer, "variables must be a mapping"))
            return {}
        for name in value:
            if name.startswith(_PREFIX) and name not in OURS:
                self.found.append(_unknown(document, (*pointer, name), name))
        return {name: Written(value[name], document, (*pointer, name)) for name in value if name in OURS}

    def _variables_beside(self, place: Path) -> None:
        for name, group in self.groups.groups.items():
            for document in self._variable_files(place / "group_vars" / name):
                group.files.update(self._variables(document, (), document.value))
        # A folder of all groups' or hosts' files is listed once: hosts may be many.
        hosts = place / "host_vars"
        if not stat.S_ISDIR(self._mode(hosts)):
            return
        named = self.groups.hosts
        for stem in dict.fromkeys(_stem(entry) for entry in self._entries(hosts)):
            if stem in named:
                for document in self._variable_files(hosts / stem):
                    named[stem].files.update(self._variables(document, (), document.value))

    def _variable_files(self, place: Path) -> Iterator[Document]:
        """Documents of ``place``, ``place.yml`` … and of the files in the folder ``place``."""
        for path in (place, *(place.with_name(place.name + suffix) for suffix in (".yml", ".yaml", ".json"))):
            mode = self._mode(path)
            if stat.S_ISDIR(mode):
                for entry in self._entries(path):
                    named = not entry.name.startswith(".") and entry.suffix in ("", *YAML)
                    if named and stat.S_ISREG(self._mode(entry)):
                        yield from self._variable_file(entry)
            elif stat.S_ISREG(mode):
                yield from self._variable_file(path)

    def _mode(self, path: Path) -> int:
        """What ``path`` is; 0 where nothing is there, and where it cannot be looked at, which is told."""
        try:
            return path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return 0
        except OSError as error:
            # A group may have a name that no file can have.
            if error.errno != errno.ENAMETOOLONG:
                self._refuse(path, Code.UNREADABLE, f"cannot be read: {error.strerror or error}")
            return 0

    def _variable_file(self, path: Path) -> Iterator[Document]:
        data = self._bytes(path)
        if data is None:
            return
        if data.startswith(b"$ANSIBLE_VAULT"):
            found = whole_file(
                str(path),
                Code.NOT_SUPPORTED,
                "is encrypted by ansible-vault and not read",
                severity=Severity.WARNING,
                hint="gthulhu_… variables and ansible_host have to be in a file that is not",
            )
            self.found.append(found)
            return
        yield from self._documents(data, path)

    def _bytes(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                return file.read(LIMITS.file_bytes + 1)
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else ""
            self._refuse(path, Code.UNREADABLE, f"cannot be read: {problem or error}")
            return None

    def _documents(self, data: bytes, path: Path) -> tuple[Document, ...]:
        tree, problems = yamltree.parse(data, str(path), limits=LIMITS)
        documents = () if tree is None else tree.documents
        places = {place for document in documents for place in _ours(document)}
        for problem in problems:
            # Vaulted passwords are common in inventories and none of our business.
            opaque = problem.code is Code.UNSAFE_YAML and any(tag in problem.message for tag in _OPAQUE_TAGS)
            if not opaque or (problem.span.line, problem.span.column) in places:
                self.found.append(problem)
        return documents


def _unknown(document: Document, pointer: Pointer, name: str) -> Diagnostic:
    # No error: the same inventory deploys the agents, and a role may have variables that this program does not read.
    known = sorted(word for word in OURS if word.startswith(_PREFIX))
    suggestion = resembling(name, known)
    return document.diagnose(
        Code.UNKNOWN_KEY,
        pointer,
        f"{shown(name)} is no variable that is read here",
        key=True,
        severity=Severity.WARNING,
        hint="" if suggestion else f"known are {', '.join(known)}",
        suggestion=suggestion,
    )


def _foreign(path: Path, data: bytes) -> str:
    if data.startswith(b"$ANSIBLE_VAULT"):
        return "is encrypted by ansible-vault"
    if data.startswith(b"#!"):
        return "is an inventory script, which is not run"
    lines = (line.strip() for line in data.splitlines())
    first = next((line for line in lines if line and not line.startswith((b"#", b";"))), b"")
    if path.suffix == ".ini" or (first.startswith(b"[") and first.endswith(b"]")):
        return "is an INI inventory"
    if path.suffix not in ("", *YAML):
        return f"has a name that Ansible reads and this program does not ({path.suffix})"
    return ""


def _is_folder(path: Path) -> bool:
    """False as well where it cannot be looked at: reading it is what says why."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _stem(entry: Path) -> str:
    return entry.name if _is_folder(entry) or entry.suffix not in YAML else entry.name.removesuffix(entry.suffix)


def _ours(document: Document) -> Iterator[tuple[int, int]]:
    """Line and column of every value of a variable that we read."""
    waiting: list[tuple[Pointer, Value]] = [((), document.value)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, dict):
            for key, entry in value.items():
                if key in OURS:
                    yield from _places(Written(entry, document, (*pointer, key)))
                waiting.append(((*pointer, key), entry))


def _places(written: Written) -> Iterator[tuple[int, int]]:
    spans = [written.span]
    if isinstance(written.value, dict):
        spans += [written.document.locate((*written.pointer, key)) for key in written.value]
    yield from ((span.line, span.column) for span in spans)
