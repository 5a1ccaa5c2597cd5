"""From an inventory's host to the agent on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gthulhu_reconcile.loading.source import shown
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic
from gthulhu_reconcile.model.pods import NO_LABELS
from gthulhu_reconcile.observing.ansible.groups import Host, Written
from gthulhu_reconcile.transport.agents import DEFAULT_PORT, Agent, http_url, read_url

_MAX_PORT = 65535
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
"""Hosts that are named so are asked which node they are: no two machines could be told apart by these."""
_QUOTES = 'put it between quotes: "{}"'


class _Wrong(Exception):  # noqa: N818 - carries a finding, and never leaves this module
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def agent_of(host: Host, variables: Mapping[str, Written]) -> Agent | Diagnostic:
    """The agent on ``host``, or what is wrong with its variables."""
    try:
        return Agent(
            node=_text(variables, "gthulhu_node_name") or ("" if host.name in _THIS_MACHINE else host.name),
            url=_url(host, variables),
            labels=_labels(variables),
            secret_file=_secret_file(variables),
            span=host.key.document.locate(host.key.pointer, key=True),
        )
    except _Wrong as wrong:
        return wrong.diagnostic


def _url(host: Host, variables: Mapping[str, Written]) -> str:
    url = _text(variables, "gthulhu_agent_url")
    if url is not None:
        try:
            return read_url(url)
        except ValueError as error:
            raise _Wrong(variables["gthulhu_agent_url"].diagnose(Code.BAD_FORMAT, str(error))) from None
    address = _text(variables, "ansible_host") or host.name
    try:
        return read_url(http_url("http", address, _port(variables)))
    except ValueError as error:
        written = variables.get("ansible_host", host.key)
        raise _Wrong(written.diagnose(Code.BAD_FORMAT, f"gives no address of an agent: {error}")) from None


def _port(variables: Mapping[str, Written]) -> int:
    written = variables.get("gthulhu_agent_port")
    if written is None:
        return DEFAULT_PORT
    value = written.value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if not isinstance(value, int) or isinstance(value, bool):
        _no_template(written)
        raise _Wrong(written.diagnose(Code.WRONG_TYPE, f"'gthulhu_agent_port' must be a port, not {shown(value)}"))
    if not 1 <= value <= _MAX_PORT:
        raise _Wrong(written.diagnose(Code.OUT_OF_RANGE, f"a port is from 1 to {_MAX_PORT}, not {value}"))
    return value


def _labels(variables: Mapping[str, Written]) -> Mapping[str, str]:
    written = variables.get("gthulhu_node_labels")
    if written is None or written.value is None:
        return NO_LABELS
    if not isinstance(written.value, dict):
        _no_template(written)
        raise _Wrong(written.diagnose(Code.WRONG_TYPE, "'gthulhu_node_labels' must be a mapping of labels"))
    labels: dict[str, str] = {}
    for key, value in written.value.items():
        entry = Written(value, written.document, (*written.pointer, key))
        if not isinstance(value, str):
            hint = _QUOTES.format(written.document.written(entry.pointer))
            raise _Wrong(entry.diagnose(Code.WRONG_TYPE, f"label {shown(key)} must be a string", hint=hint))
        _no_template(entry)
        labels[key] = value
    return labels


def _secret_file(variables: Mapping[str, Written]) -> str | None:
    path = _text(variables, "gthulhu_secret_file")
    if path is None:
        return None
    # Relative to the file that says so, as the working folder is not the inventory's business.
    return str(Path(variables["gthulhu_secret_file"].span.path).parent / path)


def _text(variables: Mapping[str, Written], name: str) -> str | None:
    written = variables.get(name)
    if written is None or written.value is None:
        return None
    if not isinstance(written.value, str):
        hint = _QUOTES.format(written.document.written(written.pointer))
        raise _Wrong(written.diagnose(Code.WRONG_TYPE, f"'{name}' must be a string", hint=hint))
    _no_template(written)
    if not written.value.strip():
        raise _Wrong(written.diagnose(Code.OUT_OF_RANGE, f"'{name}' must not be empty"))
    return written.value


def _no_template(written: Written) -> None:
    if isinstance(written.value, str) and ("{{" in written.value or "{%" in written.value):
        message = "is a template, which only Ansible can work out"
        hint = "write the value itself; ansible_host and gthulhu_agent_port make an address without one"
        raise _Wrong(written.diagnose(Code.NOT_SUPPORTED, message, hint=hint))
