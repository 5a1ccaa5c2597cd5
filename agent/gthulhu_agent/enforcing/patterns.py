"""RE2, and the only module that knows it: linear time, bounded memory, the language of Go's regexp.

A node's patterns are tried together: each text goes once through a few automata that hold thousands of patterns each
(RE2's sets), so that cost hardly grows with the number of patterns (benchmarks/patterns.py).

Three things about RE2's sets are not in its manual. A set whose automaton does not fit into its memory does not
compile, and one that was not compiled brings the process down when it is asked: such a set is halved until its parts
fit, or until the one pattern is found that fits nowhere, which is then that pattern's own error. A set that runs out
of memory while it is asked answers "nothing matches" and says nothing: every set therefore holds the empty pattern,
which matches everything, and an answer without it is no answer. And a set takes no more text than it was asked for,
so what it answers is kept per text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from gthulhu_wire.documents import MAX_PATTERN

_SET_MEMORY = 4 << 20
"""Bytes that the automata of one set may take."""
_SINGLE_MEMORY = 8 << 20
"""The same of a pattern that no set holds (RE2's default): so much that whatever was taken as a set is taken."""
_SET_SIZE = 2000
"""Patterns of one set; so many that with this memory hardly any set is halved."""
_MAX_TEXTS = 16_384
_MAX_MATCHES = 1 << 20
"""Numbers of patterns that are kept over all texts: some 40 MB when everything matches everything."""
_SLACK = 1024
"""Patterns that may be known and wanted no longer before all are compiled anew."""
_ALWAYS = b""

_NOTHING: frozenset[int] = frozenset()


class PatternError(ValueError):
    """A pattern that RE2 does not take, with its reason."""


class Patterns:
    """Compiles each pattern once and tries all on each text once, within bounds; command names repeat a lot."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._errors: dict[str, PatternError] = {}
        self._sets: list[_Set] = []
        self._answers: dict[str, frozenset[int]] = {}
        self._kept = 0
        self._next = 0
        self.version = 0
        """Grows when numbers are given anew; whoever keeps numbers asks again then."""

    def learn(self, patterns: Iterable[str]) -> None:
        """Compile those of ``patterns`` that are new, together; they are all that is wanted from now on.

        What was known and is not among them is forgotten once that is worth it.
        """
        wanted = dict.fromkeys(patterns)
        if len(self._numbers) + len(self._errors) > 2 * len(wanted) + _SLACK:
            self._forget()
        self._add([pattern for pattern in wanted if pattern not in self._numbers and pattern not in self._errors])

    def number(self, pattern: str) -> int:
        """What stands for ``pattern`` in the answers of :meth:`matching`, until ``version`` changes.

        Raises:
            PatternError: the pattern is too long or no RE2.
        """
        if pattern not in self._numbers and pattern not in self._errors:
            self._add([pattern])
        if pattern in self._errors:
            raise self._errors[pattern]
        return self._numbers[pattern]

    def matching(self, text: str) -> frozenset[int]:
        """The numbers of all known patterns that are found anywhere in ``text``."""
        answer = self._answers.get(text)
        if answer is None:
            # Names come from the kernel as bytes; what is no UTF-8 is carried by surrogates and goes in as it was.
            data = text.encode(errors="surrogateescape")
            found = [number for one in self._sets for number in one.matching(data)]
            answer = frozenset(found) if found else _NOTHING
            if len(self._answers) >= _MAX_TEXTS or self._kept + len(answer) > _MAX_MATCHES:
                self._answers.clear()
                self._kept = 0
            self._answers[text] = answer
            self._kept += len(answer)
        return answer

    def matches(self, pattern: str, text: str) -> bool:
        """Whether ``pattern`` is found anywhere in ``text``.

        Raises:
            PatternError: the pattern is too long or no RE2.
        """
        return self.number(pattern) in self.matching(text)

    def _add(self, patterns: Sequence[str]) -> None:
        good: list[_Numbered] = []
        for pattern in patterns:
            data = _checked(pattern)
            if isinstance(data, PatternError):
                self._errors[pattern] = data
                continue
            self._numbers[pattern] = self._next
            good.append((self._next, data))
            self._next += 1
        if not good:
            return
        self._answers.clear()
        self._kept = 0
        # Smaller sets of earlier times are taken up, or a thousand additions would be a thousand sets.
        while self._sets and len(self._sets[-1].patterns) <= min(2 * len(good), _SET_SIZE - len(good)):
            good = [*self._sets.pop().patterns, *good]
        for start in range(0, len(good), _SET_SIZE):
            some = good[start : start + _SET_SIZE]
            one = _Set(some)
            self._sets.append(one)
            for number, data in some if one.errors else ():
                if number in one.errors:
                    del self._numbers[data.decode()]
                    self._errors[data.decode()] = one.errors[number]

    def _forget(self) -> None:
        self._numbers.clear()
        self._errors.clear()
        self._sets.clear()
        self._answers.clear()
        self._kept = 0
        self.version += 1


_Numbered = tuple[int, bytes]


class _Set:
    """Patterns that are tried together, in one automaton or in two halves."""

    def __init__(self, patterns: Sequence[_Numbered]) -> None:
        self.errors: dict[int, PatternError] = {}
        self.patterns = patterns
        self._halves: tuple[_Set, ...] = ()
        self._single: re2._Regexp | None = None
        self._set = self._compiled()
        if self._set is None:
            self._split()

    def matching(self, text: bytes) -> list[int]:
        """Numbers of those that are found in ``text``."""
        if self._set is not None:
            found = self._set.Match(text)
            if found:
                return [self.patterns[at - 1][0] for at in found if at]
            # Not even the empty pattern: it ran out of memory.
            self._set = None
            self._split()
        if self._single is not None:
            return [self.patterns[0][0]] if self._single.search(text) is not None else []
        return [number for half in self._halves for number in half.matching(text)]

    def _compiled(self) -> re2.Set | None:
        """One automaton, in which the first pattern is number 1; None where they do not fit into one."""
        found = re2.Set.SearchSet(_options(_SET_MEMORY))
        found.Add(_ALWAYS)
        good: list[_Numbered] = []
        for number, pattern in self.patterns:
            try:
                found.Add(pattern)
            except re2.error:
                self.errors[number] = _refused(pattern)
            else:
                good.append((number, pattern))
        self.patterns = good
        try:
            found.Compile()
        except re2.error:
            return None
        return found

    def _split(self) -> None:
        if len(self.patterns) > 1:
            middle = len(self.patterns) // 2
            self._halves = (_Set(self.patterns[:middle]), _Set(self.patterns[middle:]))
            self.errors |= self._halves[0].errors | self._halves[1].errors
            self.patterns = [numbered for numbered in self.patterns if numbered[0] not in self.errors]
            return
        # Alone it may still be taken: a single pattern has a slower way for what is too large for an automaton.
        ((number, pattern),) = self.patterns
        try:
            self._single = re2.compile(pattern, _options(_SINGLE_MEMORY))
        except re2.error:
            self.errors[number] = _refused(pattern)
            self.patterns = ()


def _checked(pattern: str) -> bytes | PatternError:
    try:
        data = pattern.encode()
    except UnicodeEncodeError:
        return PatternError("the pattern has half of a surrogate pair")
    if len(data) > MAX_PATTERN:
        return PatternError(f"the pattern is {len(data)} bytes long; at most {MAX_PATTERN} are taken")
    return data


def _refused(pattern: bytes) -> PatternError:
    """Why ``pattern`` is not taken, which a set does not tell."""
    reason: object = "its automaton is too large"
    try:
        re2.compile(pattern, _options(_SINGLE_MEMORY))
    except re2.error as error:
        reason = error.args[0] if error.args else reason
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return PatternError(f"RE2 does not take the pattern: {text}")


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options
