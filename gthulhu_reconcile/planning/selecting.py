"""Label requirements: what they mean, and an index that finds the ones that could hold without trying them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from gthulhu_reconcile.model.policy import Operator, Requirement

_T = TypeVar("_T")
Projected = tuple[tuple[str, str | None], ...]
"""Labels cut down to what requirements can tell apart: sorted by key; None is a value that none of them names."""


def holds(requirement: Requirement, labels: Mapping[str, str | None]) -> bool:
    """Whether ``labels`` meet ``requirement``; a negative one also holds where the key is absent."""
    operator, key = requirement.operator, requirement.key
    if operator is Operator.IN:
        return key in labels and labels[key] in requirement.values
    if operator is Operator.NOT_IN:
        return key not in labels or labels[key] not in requirement.values
    return (key in labels) == (operator is Operator.EXISTS)


def all_hold(requirements: Iterable[Requirement], labels: Mapping[str, str | None]) -> bool:
    """Whether ``labels`` meet every one of ``requirements``."""
    for requirement in requirements:  # noqa: SIM110 - a generator inside all() doubles the time of the hot path
        if not holds(requirement, labels):
            return False
    return True


class Projection:
    """Cuts labels down to the keys and values that some requirement names.

    Two sets of labels with the same projection meet the same requirements. That keeps a label whose value differs
    from pod to pod (a template's hash, an ordinal) from making every pod a case of its own.
    """

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        named: dict[str, set[str]] = {}
        for requirement in requirements:
            named.setdefault(requirement.key, set()).update(requirement.values)
        self._named = {key: frozenset(values) for key, values in named.items()}

    def of(self, labels: Iterable[tuple[str, str]]) -> Projected:
        """The projection of ``labels``, which must be sorted by key."""
        named = self._named
        return tuple([(key, value if value in named[key] else None) for key, value in labels if key in named])


class LabelIndex(Generic[_T]):
    """Items by one of their label requirements: the ``In`` whose values the fewest items share, else an ``Exists``.

    An item that says nothing of what labels must be is tried on all labels.
    """

    def __init__(self, items: Sequence[tuple[_T, Sequence[Requirement]]]) -> None:
        self._by_value: dict[tuple[str, str | None], list[_Tried[_T]]] = {}
        self._by_key: dict[str, list[_Tried[_T]]] = {}
        self._unanchored: list[_Tried[_T]] = []
        shared = Counter(
            (term.key, value)
            for _, requirements in items
            for term in requirements
            if term.operator is Operator.IN
            for value in term.values
        )
        for item, requirements in items:
            self._add(item, requirements, shared)

    def _add(self, item: _T, requirements: Sequence[Requirement], shared: Mapping[tuple[str, str], int]) -> None:
        named = [term for term in requirements if term.operator is Operator.IN]
        others = tuple([term for term in requirements if term.operator is not Operator.IN])
        tried = (item, tuple([(term.key, frozenset(term.values)) for term in named]), others)
        if named:
            anchor = min(named, key=lambda term: sum(shared[term.key, value] for value in term.values))
            for value in dict.fromkeys(anchor.values):
                self._by_value.setdefault((anchor.key, value), []).append(tried)
            return
        key = next((term.key for term in others if term.operator is Operator.EXISTS), None)
        if key is None:
            self._unanchored.append(tried)
        else:
            self._by_key.setdefault(key, []).append(tried)

    def meeting(self, labels: Projected) -> list[_T]:
        """Each item once whose requirements ``labels`` meet."""
        held = dict(labels)
        found: list[_T] = []
        _try(self._unanchored, held, found)
        for label in labels:
            if label in self._by_value:
                _try(self._by_value[label], held, found)
            if label[0] in self._by_key:
                _try(self._by_key[label[0]], held, found)
        return found


_Tried = tuple[_T, tuple[tuple[str, frozenset[str]], ...], tuple[Requirement, ...]]
"""An item, what it wants by value, and its other requirements."""


def _try(tried: Iterable[_Tried[_T]], labels: Mapping[str, str | None], found: list[_T]) -> None:
    for item, wanted, others in tried:
        for key, values in wanted:
            if labels.get(key) not in values:
                break
        else:
            if not others or all_hold(others, labels):
                found.append(item)
