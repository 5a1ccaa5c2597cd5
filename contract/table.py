"""A table as values, read from its JSON file. What is misspelt in it is refused: it would be checked by nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract.matching import Json, TableError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Attributes:
        body: JSON; ``raw`` is sent as it is instead, for what is no JSON.
        auth: ``token`` sends the token of the run where there is one, ``none`` sends nothing, anything else is the
            ``Authorization`` header itself.
    """

    method: str
    path: str
    body: Json = None
    raw: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: str = "token"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is to come back. ``body`` is JSON with matchers, ``text`` a matcher of the whole body as text."""

    status: int
    headers: Mapping[str, Json] = field(default_factory=dict)
    body: Json = None
    text: Json = None
    has_body: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where Gthulhu's own answers otherwise: why, in which row of its fault table, and what it answers."""

    why: str
    row: str = ""
    answer: Expected | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One request and its answer.

    Attributes:
        needs: variables without which the step is left out.
        within: seconds in which the answer has to become what is expected; it is asked for again until then.
        save: variables for later steps, each a JSON pointer into the answer.
    """

    name: str
    request: Request
    answer: Expected
    needs: tuple[str, ...] = ()
    within: float = 0.0
    save: Mapping[str, str] = field(default_factory=dict)
    upstream: Upstream | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """How a public key becomes a token: the request, and where in its answer the token is."""

    request: Request
    token: str


@dataclass(frozen=True, slots=True)
class Table:
    """Steps in their order: what an earlier one sets is what a later one finds."""

    name: str
    variables: Mapping[str, Json]
    login: Login
    steps: tuple[Step, ...]


def load(path: Path) -> Table:
    """The table in ``path``.

    Raises:
        TableError: it is none; says where and why.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: {error}") from error
    try:
        return _table(value)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


def fill(value: Json, variables: Mapping[str, Json]) -> Json:
    """``value`` with every ``${name}`` replaced; a text that is nothing but one variable becomes its value.

    Raises:
        TableError: there is no such variable.
    """
    if isinstance(value, str):
        return _fill_text(value, variables)
    if isinstance(value, list):
        return [fill(one, variables) for one in value]
    if isinstance(value, Mapping):
        return {str(_fill_text(name, variables)): fill(one, variables) for name, one in value.items()}
    return value


def unique(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    """An object, for json's object_pairs_hook.

    Raises:
        ValueError: a key is there twice.
    """
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return made


def _fill_text(text: str, variables: Mapping[str, Json]) -> Json:
    names = _VARIABLE.findall(text)
    for name in names:
        if name not in variables:
            raise TableError(f"there is no variable {name!r}")
    if names and text == f"${{{names[0]}}}":
        return variables[names[0]]
    return _VARIABLE.sub(lambda match: str(variables[match[1]]), text)


def _table(value: Json) -> Table:
    row = _object(value, "table", {"name", "login", "steps"}, {"about", "variables"})
    login = _object(row["login"], "login", {"request", "token"})
    steps = _array(row["steps"], "steps")
    made = tuple(_step(one, f"steps[{number}]") for number, one in enumerate(steps))
    seen: set[str] = set()
    for step in made:
        if step.name in seen:
            raise TableError(f"two steps are named {step.name!r}")
        seen.add(step.name)
    return Table(
        name=_text(row["name"], "name"),
        variables=_object(row.get("variables", {}), "variables"),
        login=Login(_request(login["request"], "login.request"), _text(login["token"], "login.token")),
        steps=made,
    )


def _step(value: Json, at: str) -> Step:
    row = _object(value, at, {"name", "request", "answer"}, {"needs", "within", "save", "upstream", "about"})
    within = row.get("within", 0)
    if not isinstance(within, int | float) or isinstance(within, bool) or within < 0:
        raise TableError(f"{at}.within: must be seconds")
    return Step(
        name=_text(row["name"], f"{at}.name"),
        request=_request(row["request"], f"{at}.request"),
        answer=_expected(row["answer"], f"{at}.answer"),
        needs=tuple(_text(one, f"{at}.needs") for one in _array(row.get("needs", []), f"{at}.needs")),
        within=float(within),
        save={name: _text(one, f"{at}.save") for name, one in _object(row.get("save", {}), f"{at}.save").items()},
        upstream=_upstream(row["upstream"], f"{at}.upstream") if "upstream" in row else None,
    )


def _request(value: Json, at: str) -> Request:
    row = _object(value, at, {"method", "path"}, {"body", "raw", "headers", "auth"})
    if "body" in row and "raw" in row:
        raise TableError(f"{at}: has body and raw")
    return Request(
        method=_text(row["method"], f"{at}.method"),
        path=_text(row["path"], f"{at}.path"),
        body=row.get("body"),
        raw=_text(row["raw"], f"{at}.raw") if "raw" in row else None,
        headers={
            name: _text(one, f"{at}.headers") for name, one in _object(row.get("headers", {}), f"{at}.headers").items()
        },
        auth=_text(row.get("auth", "token"), f"{at}.auth"),
    )


def _expected(value: Json, at: str) -> Expected:
    row = _object(value, at, {"status"}, {"headers", "body", "text"})
    if not isinstance(row["status"], int):
        raise TableError(f"{at}.status: must be an integer")
    return Expected(
        row["status"], _object(row.get("headers", {}), f"{at}.headers"), row.get("body"), row.get("text"), "body" in row
    )


def _upstream(value: Json, at: str) -> Upstream:
    row = _object(value, at, {"why"}, {"row", "answer"})
    return Upstream(
        _text(row["why"], f"{at}.why"),
        _text(row.get("row", ""), f"{at}.row"),
        _expected(row["answer"], f"{at}.answer") if "answer" in row else None,
    )


def _object(
    value: Json, at: str, required: set[str] | None = None, optional: set[str] | None = None
) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TableError(f"{at}: must be an object")
    if required is not None:
        if unknown := sorted(value.keys() - required - (optional or set())):
            raise TableError(f"{at}: {unknown[0]!r} is not known")
        if missing := sorted(required - value.keys()):
            raise TableError(f"{at}: {missing[0]!r} is missing")
    return value


def _array(value: Json, at: str) -> list[Json]:
    if not isinstance(value, list):
        raise TableError(f"{at}: must be an array")
    return value


def _text(value: Json, at: str) -> str:
    if not isinstance(value, str):
        raise TableError(f"{at}: must be text")
    return value
