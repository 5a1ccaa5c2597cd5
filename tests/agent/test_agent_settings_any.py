"""Whatever anybody writes for a setting, it is taken or it is told in one line with its place; nothing else happens."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.configuring.listens import Listen
from gthulhu_agent.configuring.said import Said
from gthulhu_agent.errors import UsageError
from gthulhu_agent.settings import BY_NAME, PREFIX, SETTINGS, load

WORDS = st.sampled_from(
    ["", "auto", "true", "0600", "1.3", "5", "5s", "127.0.0.1:1", "~nobody-of-that-name/x", "/x", "http://[", "*", "~"]
)
TEXTS = st.one_of(WORDS, st.text(max_size=20), st.text("/:.,[]@ \n-=", max_size=12))
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.booleans(),
        st.integers(),
        st.floats(),
        st.dates(),
        st.times(),
        st.just("9" * 5000),
        st.just(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)
NAMES = st.sampled_from([setting.name for setting in SETTINGS])


def refusal(file: Path | None, environ: dict[str, str]) -> str:
    """What is said against these settings; empty where they are taken."""
    try:
        settings = load(file=file, environ={"HOME": "/home/me", **environ}, options={})
    except UsageError as error:
        return str(error)
    assert all(isinstance(one, Listen) for one in settings.listen)
    assert not math.isnan(settings.scan_interval)
    return ""


def fault(one: Said) -> str:
    """What is said against this value; empty where it is taken."""
    try:
        one.value({"CREDENTIALS_DIRECTORY": "/run/credentials/x"})
    except (ValueError, TypeError) as error:
        return one.fault(error)
    return ""


@given(NAMES, VALUES)
def test_any_value_is_taken_or_is_a_fault_in_one_line(name: str, value: object) -> None:
    told = fault(Said("f.toml:1:1", BY_NAME[name], value))
    assert "\n" not in told
    assert len(told) < 600


@given(st.dictionaries(NAMES, TEXTS, max_size=6))
def test_any_environment_gives_settings_or_a_usage_error(said: dict[str, str]) -> None:
    environ = {f"{PREFIX}{BY_NAME[name].field.upper()}": text for name, text in said.items() if "\0" not in text}
    assert all(line.startswith(PREFIX) for line in refusal(None, environ).splitlines())


@given(st.one_of(st.text(max_size=200), st.just("node = " + "9" * 5000), st.just("node = " + "[" * 50_000)))
def test_any_file_gives_settings_or_a_usage_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        told = refusal(file, {})
        assert not told or told.startswith(str(file))


@pytest.mark.parametrize("value", ["~nobody-of-that-name/x", "/a\0b"])
def test_a_path_that_cannot_be_one_is_a_mistake_of_usage(value: str) -> None:
    with pytest.raises(UsageError, match="--state-dir: state_dir takes a path"):
        load(file=None, environ={}, options={"state_dir": value})


def test_bytes_of_the_environment_that_are_no_text_are_no_key() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n\udcff\n-----END PRIVATE KEY-----"
    with pytest.raises(UsageError, match=r"takes PEM text, .*, and this is something else"):
        load(file=None, environ={f"{PREFIX}TLS_KEY_PEM": key}, options={})


def test_a_long_value_is_told_in_short() -> None:
    with pytest.raises(UsageError) as told:
        load(file=None, environ={}, options={"enforcer": "x" * 100_000})
    assert len(str(told.value)) < 400
