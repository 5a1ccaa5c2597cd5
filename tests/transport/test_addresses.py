"""Addresses of agents, and the places of their connections."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.transport.agents import Agent, looks_like_url, read_url
from gthulhu_reconcile.transport.places import Places


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:18080", "http://127.0.0.1:18080"),
        ("http://Node1.Example:18080/", "http://node1.example:18080"),
        ("https://node1", "https://node1"),
        ("http://[::1]:99", "http://[::1]:99"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
    ],
)
def test_an_address_has_one_form(text: str, url: str) -> None:
    assert looks_like_url(text)
    assert read_url(text) == url
    assert read_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a",
        "http://",
        "http://a:99999",
        "http://a:x",
        "http://u:p@a",
        "http://a/path",
        "http://a?x=1",
        "http://a b",
        "http://a\x1b",
        "http://[::1",
        "http://a..b:18080",
        f"http://{'a' * 64}.example",
        "http://.example",
        "unix:/run/a\0b",
        "unix:/run/\ud800",
        "unix:relative",
        "unix:/" + "a" * 200,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_url(text)


def test_a_folder_is_no_address() -> None:
    assert not looks_like_url("inventory/")


@given(st.text() | st.text().map("http://{}".format) | st.text(alphabet="a.-[]:1").map("http://{}".format))
def test_reading_an_address_never_fails_in_another_way(text: str) -> None:
    try:
        url = read_url(text)
    except ValueError:
        return
    agent = Agent("", url)
    assert agent.base.startswith("http")
    if agent.socket_path is None:
        assert urlsplit(url).hostname
        str(urlsplit(url).hostname).encode("idna")


def test_places_are_first_come_and_free_again_when_idle() -> None:
    places = Places(2, 1, 10.0)
    assert places.take("a", 0.0)
    assert places.take("b", 1.0)
    assert not places.take("c", 2.0)
    assert places.take("a", 3.0)
    assert places.take("c", 21.0)
    assert not places.take("b", 21.5)


def test_a_call_that_is_followed_by_another_keeps_its_connection_until_then() -> None:
    places = Places(1, 1, 10.0)
    assert places.take("a", 0.0)
    assert places.take("b", 1.0, more=True)
    assert not places.take("c", 1.0, more=True)
    assert not places.take("b", 2.0)
    assert places.take("c", 2.0, more=True)
