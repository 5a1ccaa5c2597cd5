"""Never open by accident: where the agent listens, for whom, and what it does about leftovers of others."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gthulhu_agent.api.listener import Listener, listen
from gthulhu_agent.errors import AgentError, AlreadyRunning, UsageError


@contextmanager
def listening(address: str, *, login: bool = False, socket_mode: int = 0o600) -> Iterator[Listener]:
    with closing(listen(address, login=login, socket_mode=socket_mode)) as listener:
        yield listener


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0", "[fe80::1]:0"])
def test_a_network_address_without_a_login_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no way to log in") as refused, listening(address):
        pass
    assert "--secret-file" in refused.value.cure


def test_with_a_login_a_network_address_is_served() -> None:
    with listening("0.0.0.0:0", login=True) as listener:
        assert not listener.loopback


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "127.1.2.3:0"])
def test_loopback_needs_no_login_and_tells_its_port(address: str) -> None:
    with listening(address) as listener:
        assert listener.loopback
        assert not listener.address.endswith(":0")


def test_all_addresses_of_a_name_share_the_port_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", 0)) for number in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    with listening("localhost:0") as listener:
        assert len({one.getsockname()[1] for one in listener.sockets}) == 1
        assert len(listener.sockets) == 2


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback; the rule for it is tested above")
def test_ipv6_loopback_is_loopback() -> None:
    with listening("[::1]:0") as listener:
        assert listener.loopback
        assert listener.address.startswith("[::1]:")


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", ":80", "127.0.0.1:http", "127.0.0.1:99999", "::1:80", "no such host.invalid:80", "a b"]
)
def test_what_is_no_address_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError, match="listen:"), listening(address):
        pass


def test_a_taken_port_is_told_as_such() -> None:
    with listening("127.0.0.1:0") as first, pytest.raises(AlreadyRunning, match="taken"), listening(first.address):
        pass


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_socket_has_its_mode_from_the_first_moment_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0)
    try:
        with listening(f"unix:{tmp_path}/api.sock", socket_mode=mode):
            assert stat.S_IMODE((tmp_path / "api.sock").stat().st_mode) == mode
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_missing_folder_of_a_socket_is_made_and_can_be_entered(tmp_path: Path) -> None:
    with listening(f"unix:{tmp_path}/run/agent/api.sock"):
        assert stat.S_IMODE((tmp_path / "run/agent").stat().st_mode) == 0o755


def test_a_socket_file_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with listening(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    with listening(f"unix:{tmp_path}/api.sock") as first:
        with pytest.raises(AlreadyRunning, match="somebody listens"), listening(first.address):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "api.sock"))


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_taken_away(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "api.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        (tmp_path / "target").write_text("precious")
        path.symlink_to(tmp_path / "target")
    with pytest.raises(AgentError, match="not a socket"), listening(f"unix:{path}"):
        pass
    assert path.exists()


def test_closing_leaves_the_socket_of_the_next_agent_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    first = listen(f"unix:{path}", login=False, socket_mode=0o600)
    path.rename(tmp_path / "moved.sock")  # keeps its inode from being used again
    with listening(f"unix:{path}"):
        first.close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


@pytest.mark.parametrize(
    ("path", "told"), [("relative.sock", "absolute"), ("", "absolute"), ("/" + "x" * 200, "longer than")]
)
def test_a_path_that_no_socket_can_have_is_a_usage_error(path: str, told: str) -> None:
    with pytest.raises(UsageError, match=told), listening(f"unix:{path}"):
        pass
