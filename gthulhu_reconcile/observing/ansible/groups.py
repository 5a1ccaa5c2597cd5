"""Hosts, groups and variables of an inventory, and which value of a variable counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gthulhu_reconcile.loading.document import Document, Value
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Span

ALL = "all"
_PRIORITY = "ansible_group_priority"


@dataclass(frozen=True, slots=True)
class Written:
    """A value and where it is written."""

    value: Value
    document: Document
    pointer: tuple[str | int, ...]

    @property
    def span(self) -> Span:
        """Its place."""
        return self.document.locate(self.pointer)

    def diagnose(self, code: Code, message: str, *, hint: str = "", inside: str | None = None) -> Diagnostic:
        """A diagnostic about it, or about the value of its key ``inside``."""
        pointer = self.pointer if inside is None else (*self.pointer, inside)
        return self.document.diagnose(code, pointer, message, hint=hint)


Variables = dict[str, Written]


@dataclass(slots=True)
class Group:
    """A group; ``files`` are the variables of ``group_vars``, which come after all groups' own."""

    name: str
    variables: Variables = field(default_factory=dict)
    files: Variables = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Host:
    """A host; ``files`` are the variables of ``host_vars``, which come last."""

    name: str
    key: Written
    variables: Variables = field(default_factory=dict)
    files: Variables = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


class Groups:
    """An inventory being put together from any number of files."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.hosts: dict[str, Host] = {}
        self._parents: set[str] = set()
        self._depths: dict[str, int] = {}

    def group(self, name: str) -> Group:
        """The group of that name, there from now on."""
        return self.groups.setdefault(name, Group(name))

    def host(self, name: str, key: Written) -> Host:
        """The host of that name, there from now on."""
        return self.hosts.setdefault(name, Host(name, key))

    def adopt(self, parent: str, child: str) -> bool:
        """Make ``child`` a child of ``parent``; False where that would make a circle."""
        if child == parent or (child in self._parents and child in self._above(parent)):
            return False
        self.group(child).parents.add(parent)
        self._parents.add(parent)
        self._depths.clear()
        return True

    def members(self, name: str) -> tuple[Host, ...]:
        """Hosts of a group and of all groups below it, in the order in which they were first named."""
        if name == ALL:
            return tuple(self.hosts.values())
        return tuple(host for host in self.hosts.values() if name in self._groups_of(host))

    def variables(self, host: Host) -> Mapping[str, Written]:
        """What counts for ``host``, by Ansible's precedence.

        First what inventory files say of groups, from the outermost to the innermost (then by priority, then by
        name), then ``group_vars``, then what inventory files say of the host, then ``host_vars``.
        """
        groups = sorted(self._groups_of(host), key=self._rank)
        merged: Variables = {}
        for name in groups:
            merged.update(self.groups[name].variables)
        for name in groups:
            merged.update(self.groups[name].files)
        return {**merged, **host.variables, **host.files}

    def _groups_of(self, host: Host) -> set[str]:
        self.group(ALL)
        return {ALL}.union(*(self._above(name) for name in host.groups))

    def _above(self, name: str) -> set[str]:
        found = {name}
        waiting = [name]
        while waiting:
            group = self.groups.get(waiting.pop())
            for parent in () if group is None else group.parents:
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    def _rank(self, name: str) -> tuple[int, int, str]:
        priority = self.groups[name].variables.get(_PRIORITY)
        value = priority.value if priority is not None else 1
        return (self._depth(name), value if isinstance(value, int) else 1, name)

    def _depth(self, name: str) -> int:
        """Groups from the outermost one to ``name``, by the longest way; each group is worked out once."""
        waiting = [name]
        while waiting:
            last = waiting[-1]
            parents = () if last == ALL else self.groups[last].parents
            unknown = [parent for parent in parents if parent not in self._depths]
            if unknown:
                waiting += unknown
                continue
            self._depths[last] = 0 if last == ALL else 1 + max((self._depths[parent] for parent in parents), default=0)
            waiting.pop()
        return self._depths[name]
