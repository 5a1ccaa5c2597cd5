"""What ``listen`` says: addresses, the API beside ours on each, and the scale of priority that its callers mean."""

from __future__ import annotations

import errno
import socket
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.api import listener as module
from gthulhu_agent.api.listener import listen
from gthulhu_agent.configuring.listens import Api, Listen, go_address, listens
from gthulhu_agent.errors import UsageError
from gthulhu_agent.settings import load
from gthulhu_wire.dialects import Dialect

HOSTS = st.sampled_from(["127.0.0.1", "localhost", "[::1]", "*", "node-1.example"])
ADDRESSES = st.one_of(
    st.tuples(HOSTS, st.integers(1, 65535)).map(lambda pair: f"{pair[0]}:{pair[1]}"),
    st.sampled_from(["unix:/run/a.sock", "unix:/run/gthulhu/b.sock"]),
)


@st.composite
def listeners(draw: st.DrawFn) -> Listen:
    api: Api = draw(st.sampled_from(["dm", "bss", "none"]))
    dialect = {"none": Dialect.PRIORITY, "bss": Dialect.BOOL}.get(api) or draw(st.sampled_from(Dialect))
    return Listen(draw(ADDRESSES), api, dialect)


@given(st.lists(listeners(), min_size=1, max_size=8, unique_by=lambda one: one.address))
def test_what_is_written_out_is_read_back_the_same(found: list[Listen]) -> None:
    assert listens(" ".join(map(str, found))) == listens(list(map(str, found))) == tuple(found)


@pytest.mark.parametrize(
    ("text", "api", "dialect"),
    [
        ("127.0.0.1:1", "dm", Dialect.KERNEL),
        ("127.0.0.1:1,dialect=user", "dm", Dialect.USER),
        ("127.0.0.1:1,dialect=priority,api=dm", "dm", Dialect.PRIORITY),
        ("127.0.0.1:1,api=bss", "bss", Dialect.BOOL),
        ("127.0.0.1:1,api=none", "none", Dialect.PRIORITY),
    ],
)
def test_each_api_has_its_scale_without_being_told(text: str, api: Api, dialect: Dialect) -> None:
    assert listens(text) == (Listen("127.0.0.1:1", api, dialect),)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        [],
        5,
        [5],
        {"address": "127.0.0.1:1"},
        "127.0.0.1",
        "127.0.0.1:65536",
        ":1",
        "unix:",
        "127.0.0.1:1,",
        "127.0.0.1:1,api",
        "127.0.0.1:1,api=",
        "127.0.0.1:1,api=manager",
        "127.0.0.1:1,apis=dm",
        "127.0.0.1:1,api=dm,api=bss",
        "127.0.0.1:1,api=bss,dialect=kernel",
        "127.0.0.1:1,dialect=loud",
        "127.0.0.1:1,api=none,dialect=user",
        "127.0.0.1:1 127.0.0.1:1",
        "127.0.0.1:1 127.0.0.1:1,api=bss",
        " ".join(f"127.0.0.1:{port}" for port in range(1, 10)),
    ],
)
def test_what_is_no_listener_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        listens(value)
    with pytest.raises(UsageError, match="--listen: listen takes ADDRESS:PORT"):
        load(file=None, environ={}, options={"listen": value})


def test_free_ports_may_be_asked_for_more_than_once() -> None:
    assert len(listens("127.0.0.1:0 127.0.0.1:0,api=bss")) == 2


def test_a_socket_whose_path_has_a_blank_is_named_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(f'listen = ["unix:{tmp_path}/a b.sock,api=none", "127.0.0.1:0"]')
    settings = load(file=tmp_path / "agent.toml", environ={}, options={})
    assert [one.address for one in settings.listen] == [f"unix:{tmp_path}/a b.sock", "127.0.0.1:0"]


@pytest.mark.parametrize(
    ("host", "address"),
    [(":8080", "*:8080"), ("0.0.0.0:80", "0.0.0.0:80"), ("[::1]:080", "[::1]:80"), ("localhost:1", "localhost:1")],
)
def test_an_address_as_go_writes_it(host: str, address: str) -> None:
    assert go_address(host) == address


@pytest.mark.parametrize("host", ["", "8080", ":", ":http", ":65536", "::1:80", "a b:1", "x,api=bss:1", "unix:/a"])
def test_what_go_would_not_listen_on_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=host.replace("[", r"\[") or ".*"):
        go_address(host)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/a", True),
        ("*:1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("node-1:1", False),
    ],
)
def test_what_other_machines_reach_is_plain_from_the_address(address: str, local: bool) -> None:
    assert Listen(address).local is local


def test_every_address_of_both_families_is_one_listener() -> None:
    with closing(listen("*:0", login=True, socket_mode=0o600)) as opened:
        families = {one.family for one in opened.sockets}
        assert socket.AF_INET in families
        assert len({one.getsockname()[1] for one in opened.sockets}) == 1
        assert not opened.loopback


@pytest.mark.parametrize("missing", [socket.AF_INET, socket.AF_INET6])
def test_a_machine_without_one_family_is_served_on_the_other(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    both = [(socket.AF_INET, ("0.0.0.0", 0)), (socket.AF_INET6, ("::", 0, 0, 0))]  # noqa: S104 - never bound
    found = [(family, socket.SOCK_STREAM, 6, "", place) for family, place in both]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)

    def bind(family: int, _place: object) -> socket.socket:
        if family == missing:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        one = socket.socket(socket.AF_INET)
        one.bind(("127.0.0.1", 0))
        return one

    monkeypatch.setattr(module, "_bind_tcp", bind)
    with closing(listen("*:0", login=True, socket_mode=0o600)) as opened:
        assert len(opened.sockets) == 1
    with pytest.raises(Exception, match="not supported"):
        listen("both.example:0", login=True, socket_mode=0o600)  # a name that was given is meant, all of it
