"""Where the API listens: loopback, a Unix socket, or a network address where callers have to log in."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gthulhu_agent.errors import AgentError, AlreadyRunning, UsageError
from gthulhu_agent.loopback import is_loopback

BACKLOG = 512
_UNIX = "unix:"
_UNIX_PATH_MAX = 107
"""Bytes of sun_path without its NUL (unix(7))."""
_PORT_MAX = 65535
_PROBE_SECONDS = 2.0
_EVERYWHERE = "*"
"""Every address of this machine: what Go makes of ``:8080``."""
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Listener:
    """Open sockets, and the socket file to take away afterwards.

    Attributes:
        address: as ``--listen`` takes it, with the port that the kernel chose where 0 was asked for.
        loopback: whether everybody on this machine can reach it, and nobody else.
    """

    sockets: tuple[socket.socket, ...]
    address: str
    loopback: bool = False
    path: Path | None = None
    inode: tuple[int, int] | None = None

    def close(self) -> None:
        """Close the sockets; the socket file goes too, unless it is another agent's by now."""
        for opened in self.sockets:
            opened.close()
        if self.path is not None:
            with suppress(OSError):
                if _inode(self.path) == self.inode:
                    self.path.unlink()


def listen(address: str, *, login: bool, socket_mode: int) -> Listener:
    """Listen on ``address``; ``login`` is whether there is a way to log in there.

    Raises:
        UsageError: it is no address, or one that others can reach while nobody can log in.
        AgentError: the system does not let us.
        AlreadyRunning: somebody listens there.
    """
    if address.startswith(_UNIX):
        return _listen_unix(Path(address.removeprefix(_UNIX)), socket_mode)
    return _listen_tcp(address, login=login)


def _listen_tcp(address: str, *, login: bool) -> Listener:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:]+)):(\d{1,5})", address)
    if match is None or int(match[3]) > _PORT_MAX:  # getaddrinfo would take it modulo 65536
        raise UsageError(f"listen: {address!r} is not ADDRESS:PORT, [IPV6]:PORT or unix:/path")
    host = match[1] or match[2]
    try:
        name = None if host == _EVERYWHERE else host
        found = socket.getaddrinfo(name, int(match[3]), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"listen: {address!r} cannot be resolved: {error}") from error
    targets = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
    loopback = all(is_loopback(str(place[0])) for _, place in targets)
    if not loopback and not login:
        raise UsageError(
            f"listen: {address} can be reached from other machines, and there is no way to log in",
            cure="name a --secret-file, --token-clients or --mtls-clients (docs/login.md), "
            "or listen on 127.0.0.1 or on a Unix socket",
        )
    try:
        opened = _bind_all(targets, either=host == _EVERYWHERE)
    except OSError as error:
        raise _cannot(address, error) from error
    port = opened[0].getsockname()[1]
    return Listener(tuple(opened), f"{address.rpartition(':')[0]}:{port}", loopback=loopback)


def _bind_all(targets: Sequence[tuple[int, tuple[Any, ...]]], *, either: bool) -> list[socket.socket]:
    """All of ``targets`` with one port; with ``either`` those of a family that this machine does not have are left."""
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, place in targets:
            # Port 0 is whatever the first address got, the same for all.
            port = opened[0].getsockname()[1] if opened else place[1]
            try:
                opened.append(_bind_tcp(family, (place[0], port, *place[2:])))
            except OSError as error:
                if not either or error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error
        if missing is not None and not opened:
            raise missing
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _bind_tcp(family: int, place: object) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(place)  # type: ignore[arg-type] # as getaddrinfo gave it
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def _listen_unix(path: Path, mode: int) -> Listener:
    if not path.is_absolute():
        raise UsageError("listen: the path of a Unix socket has to be absolute, as in unix:/run/gthulhu-agent/api.sock")
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise UsageError(f"listen: {path} is longer than the {_UNIX_PATH_MAX} bytes that the kernel takes")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(f"{_UNIX}{path}", error) from error
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The file has its mode from the first moment: a chmod afterwards would leave a gap.
    umask = os.umask(0o777 & ~mode)
    try:
        _remove_stale(path)
        one.bind(str(path))
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError as error:
        one.close()
        raise _cannot(f"{_UNIX}{path}", error) from error
    except AgentError:
        one.close()
        raise
    finally:
        os.umask(umask)
    return Listener((one,), f"{_UNIX}{path}", path=path, inode=_inode(path))


def _remove_stale(path: Path) -> None:
    """Take away a socket file that nobody listens on any longer; anything else stays."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise AgentError(f"listen: {path} is there and is not a socket", cure="take it away, or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise _cannot(f"{_UNIX}{path}", error) from error
    raise AlreadyRunning(f"listen: somebody listens on {path}", cure="stop that agent first, or name another path")


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _cannot(address: str, error: OSError) -> AgentError:
    if error.errno == errno.EADDRINUSE:
        return AlreadyRunning(f"listen: {address} is taken", cure="stop what listens there, or name another address")
    return AgentError(f"listen: cannot listen on {address}: {error.strerror or error}")
