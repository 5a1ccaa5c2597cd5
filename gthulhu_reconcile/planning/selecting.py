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

    An item that says nothing of what labels must be is always possible.
    """

    def __init__(self, items: Sequence[tuple[_T, Sequence[Requirement]]]) -> None:
        self._by_value: dict[tuple[str, str | None], list[_T]] = {}
        self._by_key: dict[str, list[_T]] = {}
        self._unanchored: list[_T] = []
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
        if named:
            anchor = min(named, key=lambda term: sum(shared[term.key, value] for value in term.values))
            for value in dict.fromkeys(anchor.values):
                self._by_value.setdefault((anchor.key, value), []).append(item)
            return
        key = next((term.key for term in requirements if term.operator is Operator.EXISTS), None)
        if key is None:
            self._unanchored.append(item)
        else:
            self._by_key.setdefault(key, []).append(item)

    def possible(self, labels: Projected) -> list[_T]:
        """Each item once that may hold of ``labels``; each is still to be tried."""
        found = self._unanchored.copy()
        by_value, by_key = self._by_value, self._by_key
        for label in labels:
            if label in by_value:
                found.extend(by_value[label])
            if label[0] in by_key:
                found.extend(by_key[label[0]])
        return found
