"""/proc/<pid>/stat is read right whatever a process calls itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_host import Fake, stat_line

from gthulhu_agent.discovery.procfs import first_argument, parse_stat, text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=15), st.integers(1, 2**40))
def test_any_comm_and_start(comm: str, start: int) -> None:
    stat = parse_stat(stat_line(Fake(7, comm, (), ppid=3, start=start), 7, comm, start, 5))
    assert (text(stat.comm), stat.ppid, stat.start, stat.threads, stat.kernel) == (comm, 3, start, 5, False)


@given(st.binary(max_size=15).filter(lambda comm: b"\0" not in comm))
def test_a_comm_need_not_be_text(comm: bytes) -> None:
    line = stat_line(Fake(7, "X", ()), 7, "X", 1, 1).replace(b"(X)", b"(" + comm + b")")
    assert parse_stat(line).comm == comm
    text(comm).encode()


@pytest.mark.parametrize("line", [b"", b"1 (x", b"1 (x) S 1", b") 1 ("])
def test_what_is_no_stat_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line"):
        parse_stat(line)


@pytest.mark.parametrize(
    ("cmdline", "argv0"),
    [
        (b"/usr/bin/nginx\0-g\0", "/usr/bin/nginx"),
        (b"postgres: walwriter \0\0\0", "postgres: walwriter "),
        (b"", ""),
        (b"no-end", "no-end"),
        (b"\xff\0", "\ufffd"),
    ],
)
def test_the_first_argument(cmdline: bytes, argv0: str) -> None:
    assert first_argument(cmdline) == argv0
