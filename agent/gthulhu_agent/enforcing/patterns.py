"""RE2, and the only module that knows it: linear time, bounded memory, the language of Go's regexp."""

from __future__ import annotations

from collections import OrderedDict

import re2

from gthulhu_wire.documents import MAX_PATTERN

_MAX_MEMORY = 1 << 20
"""Bytes a pattern's automata may take (RE2's default is 8 MiB); over it, RE2 is slower but still linear."""
_MAX_COMPILED = 1024
_MAX_ANSWERS = 65_536


class PatternError(ValueError):
    """A pattern that RE2 does not take, with its reason."""


class Patterns:
    """Compiles each pattern once and answers each (pattern, text) once, within bounds; command names repeat a lot."""

    def __init__(self) -> None:
        self._options = re2.Options()
        self._options.log_errors = False
        self._options.max_mem = _MAX_MEMORY
        self._compiled: OrderedDict[str, re2._Regexp | PatternError] = OrderedDict()
        self._answers: dict[tuple[str, str], bool] = {}

    def matches(self, pattern: str, text: str) -> bool:
        """Whether ``pattern`` is found anywhere in ``text``.

        Raises:
            PatternError: the pattern is too long or no RE2.
        """
        key = (pattern, text)
        answer = self._answers.get(key)
        if answer is None:
            # Names come from the kernel as bytes; what is no UTF-8 is carried by surrogates and goes in as it was.
            answer = self._compile(pattern).search(text.encode(errors="surrogateescape")) is not None
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def _compile(self, pattern: str) -> re2._Regexp:
        known = self._compiled.get(pattern)
        if known is None:
            known = self._compile_anew(pattern)
            self._compiled[pattern] = known
            if len(self._compiled) > _MAX_COMPILED:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(pattern)
        if isinstance(known, PatternError):
            raise known
        return known

    def _compile_anew(self, pattern: str) -> re2._Regexp | PatternError:
        try:
            size = len(pattern.encode())
            if size > MAX_PATTERN:
                return PatternError(f"the pattern is {size} bytes long; at most {MAX_PATTERN} are taken")
            return re2.compile(pattern, self._options)
        except UnicodeEncodeError:
            return PatternError("the pattern has half of a surrogate pair")
        except re2.error as error:
            reason = error.args[0] if error.args else "no reason given"
            text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            return PatternError(f"RE2 does not take the pattern: {text}")
