"""A request for a token, as its body has it: a form as OAuth 2.0 clients send it, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from gthulhu_agent.agent import Refused
from gthulhu_agent.api.bodies import read_json
from gthulhu_agent.api.calls import Call
from gthulhu_agent.tokens import TokenRequest
from gthulhu_wire.refusals import Refusal

LIMIT = 64 * 1024
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FIELDS = 20


def read_login(call: Call, read: Callable[[bytearray], object] = read_json) -> TokenRequest:
    """Who asks for a token, and what it shows; ``read`` reads bodies that are no form.

    Raises:
        Refused: the body is neither a form nor what ``read`` reads, or a field of it is no text.
    """
    says_form = call.content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
    # curl says that of whatever -d sends; a form of these fields never begins with a brace.
    if says_form and not call.body.lstrip().startswith(b"{"):
        said: Mapping[str, object] = _form(call.body)
    else:
        value = read(call.body)
        if not isinstance(value, dict):
            raise _bad("must be an object")
        said = value
    if _text(said, "grant_type") not in ("", "client_credentials"):
        raise _bad("grant_type must be client_credentials")
    if _text(said, "client_assertion_type") not in ("", ASSERTION_TYPE):
        raise _bad(f"client_assertion_type must be {ASSERTION_TYPE}")
    return TokenRequest(
        public_key=_text(said, "public_key") or None,
        client_id=_text(said, "client_id"),
        assertion=_text(said, "client_assertion") or None,
        peer=call.peer,
        certificate=call.certificate,
    )


def _form(body: bytearray) -> dict[str, object]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=_FIELDS
        )
    except ValueError as error:
        raise _bad("is no form") from error
    found: dict[str, object] = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("has a field twice")
    return found


def _text(said: Mapping[str, object], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(f"{name} must be a text")
    return value


def _bad(problem: str) -> Refused:
    return Refused(Refusal.BAD_REQUEST, f"body: {problem}", "docs/login.md has examples")
