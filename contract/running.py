"""Steps run in their order against a target; each holds, is broken, or is left out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from contract.calling import Got, Target, Unreachable
from contract.matching import Json, TableError, differences, show
from contract.table import Expected, Request, Step, Table, fill

_PAUSE = 0.05
"""Seconds between two askings of a step that may become right."""


class Verdict(StrEnum):
    """What became of a step."""

    HELD = "held"
    BROKEN = "broken"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step, what became of it, and why: what differs, or what it would have needed."""

    step: Step
    verdict: Verdict
    details: tuple[str, ...] = ()
    got: Got | None = None


def run(
    table: Table, target: Target, variables: Mapping[str, Json], *, token: str | None = None, upstream: bool = False
) -> Iterator[Outcome]:
    """Run all steps, one after the other.

    Args:
        table: the steps.
        target: who is asked.
        variables: beside the table's own; ``public_key`` logs in where no ``token`` is given.
        token: what the steps send as ``Authorization: Bearer``.
        upstream: whether the target is Gthulhu's own, which answers some steps otherwise.

    Raises:
        TableError: a step has a variable or a matcher that there is not.
        Unreachable: the login got no answer, or nobody is there any longer.
    """
    known: dict[str, Json] = {**table.variables, **variables}
    if token is None and "public_key" in known:
        token = _login(table, target, known)
    if token is not None:
        known["login"] = True
        known["token"] = token
    for step in table.steps:
        yield _run_step(step, target, known, token, upstream=upstream)


def _login(table: Table, target: Target, known: Mapping[str, Json]) -> str:
    got = target.call(_filled(table.login.request, known), None)
    try:
        token = pointed(got.json(), table.login.token)
    except (ValueError, LookupError):
        token = None
    if not isinstance(token, str):
        raise TableError(f"the login failed: {got.status} {show(got.text)}")
    return token


def _run_step(step: Step, target: Target, known: dict[str, Json], token: str | None, *, upstream: bool) -> Outcome:
    missing = [name for name in step.needs if name not in known]
    if missing:
        return Outcome(step, Verdict.LEFT_OUT, (f"needs {', '.join(missing)}",))
    expected = step.answer
    if upstream and step.upstream is not None:
        if step.upstream.answer is None:
            return Outcome(step, Verdict.LEFT_OUT, (f"upstream does otherwise: {step.upstream.why}",))
        expected = step.upstream.answer
    request, expected = _filled(step.request, known), _filled_answer(expected, known)
    end = time.monotonic() + step.within
    while True:
        try:
            got = target.call(request, token)
        except Unreachable as error:
            target.check()  # where nobody is, nothing can be said of the steps that follow either
            return Outcome(step, Verdict.BROKEN, (str(error),))
        found = tuple(check(expected, got))
        if not found:
            return _saved(step, got, known)
        if time.monotonic() >= end:
            return Outcome(step, Verdict.BROKEN, found, got)
        time.sleep(_PAUSE)


def check(expected: Expected, got: Got) -> Iterator[str]:
    """What in ``got`` is not as ``expected``."""
    if got.status != expected.status:
        yield f"status: expected {expected.status}, found {got.status}"
    for name, wanted in expected.headers.items():
        found = got.headers.get(name.lower())
        if wanted is None and found is not None:
            yield f"header {name}: expected none, found {found!r}"
        elif wanted is not None:
            yield from differences(wanted, found, f"header {name}")
    if expected.text is not None:
        yield from differences(expected.text, got.text, "text")
    if expected.has_body:
        try:
            body = got.json()
        except ValueError as error:
            yield f"body: no JSON ({error}): {show(got.text)}"
        else:
            yield from differences(expected.body, body, "body")
            if not got.text.endswith("\n"):
                yield "body: does not end in a newline"


def pointed(value: Json, pointer: str) -> Json:
    """What the JSON pointer (RFC 6901, without escapes) leads to in ``value``.

    Raises:
        LookupError: nothing is there.
    """
    for part in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value[part]
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)]
        else:
            raise LookupError(pointer)
    return value


def _saved(step: Step, got: Got, known: dict[str, Json]) -> Outcome:
    for name, pointer in step.save.items():
        try:
            known[name] = pointed(got.json(), pointer)
        except (ValueError, LookupError):
            return Outcome(step, Verdict.BROKEN, (f"{pointer} is not in the answer",), got)
    return Outcome(step, Verdict.HELD, got=got)


def _filled(request: Request, known: Mapping[str, Json]) -> Request:
    return replace(
        request,
        path=str(fill(request.path, known)),
        body=fill(request.body, known),
        raw=None if request.raw is None else str(fill(request.raw, known)),
        headers={name: str(fill(value, known)) for name, value in request.headers.items()},
        auth=str(fill(request.auth, known)),
    )


def _filled_answer(expected: Expected, known: Mapping[str, Json]) -> Expected:
    headers = {name: fill(value, known) for name, value in expected.headers.items()}
    return replace(expected, headers=headers, body=fill(expected.body, known), text=fill(expected.text, known))
