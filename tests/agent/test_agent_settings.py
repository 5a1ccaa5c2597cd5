"""Settings come from options, environment, file and defaults in this order; mistakes are told with their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gthulhu_agent.configuring.listens import TAKES
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secret import Secret, read
from gthulhu_agent.settings import PREFIX, SETTINGS, Listen, Settings, load

HOME = {"HOME": "/home/me"}


def loaded(text: str, folder: Path, environ: dict[str, str] | None = None, **options: object) -> Settings:
    file = folder / "agent.toml"
    file.write_text(text)
    return load(file=file, environ={**HOME, **(environ or {})}, options=options)


def faults(text: str, folder: Path, environ: dict[str, str] | None = None, **options: object) -> list[str]:
    with pytest.raises(UsageError) as refused:
        loaded(text, folder, environ, **options)
    return str(refused.value).replace(f"{folder}/", "").splitlines()


def test_option_before_environment_before_file_before_default(tmp_path: Path) -> None:
    def listen(text: str, environ: dict[str, str], **options: object) -> str:
        return " ".join(map(str, loaded(text, tmp_path, environ, **options).listen))

    file, environ = 'listen = "127.0.0.1:1"', {"GTHULHU_AGENT_LISTEN": "127.0.0.1:2"}
    assert listen("", {}) == "127.0.0.1:18080"
    assert listen(file, {}) == "127.0.0.1:1"
    assert listen(file, environ) == "127.0.0.1:2"
    assert listen(file, environ, listen="127.0.0.1:3") == "127.0.0.1:3"
    assert listen(file, environ, listen=None) == "127.0.0.1:2"


def test_all_mistakes_are_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = '# listen = "x"\nlisten = 5\n  "enforcr" = "none"\nscan_interval = "1 day"\n[limits]\nconnections = 5\n'
    assert faults(text, tmp_path, {"GTHULHU_AGENT_STATEDIR": "/x"}, node="-") == [
        "agent.toml:3:4: 'enforcr' is not a setting; did you mean 'enforcer'?",
        "agent.toml:5:2: 'limits' is not a setting",
        "GTHULHU_AGENT_STATEDIR: 'statedir' is not a setting; did you mean 'state_dir'?",
        f"agent.toml:2:1: listen takes {TAKES}, not 5",
        "agent.toml:4:1: scan_interval takes a time from 100ms to 1h, not '1 day'",
        "--node: node takes a host name, not '-'",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("listen = ", "agent.toml:1:10: Invalid value"),
        ("a\nb", "agent.toml:1:2: Expected '=' after a key in a key/value pair"),
        ('node = "a"\nnode = "b"\n', "agent.toml:2:11: Cannot overwrite a value"),
        ('node = """', "agent.toml:1:11: Unterminated string"),
    ],
)
def test_a_mistake_of_toml_has_its_place(tmp_path: Path, text: str, place: str) -> None:
    assert faults(text, tmp_path) == [place]


def test_a_key_in_a_string_before_it_does_not_mislead_its_place(tmp_path: Path) -> None:
    text = 'node = "wrong"  # wrong = 1\npod_file = """\nwrong = 1\n"""\nwrong = 1\n'
    assert faults(text, tmp_path) == ["agent.toml:5:1: 'wrong' is not a setting"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"#" * 270_000])
def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "agent.toml").write_bytes(data)
    with pytest.raises(UsageError, match=r"agent\.toml: "):
        load(file=tmp_path / "agent.toml", environ=HOME, options={})


def test_a_file_that_begins_with_the_mark_of_editors_on_windows_is_read(tmp_path: Path) -> None:
    text = 'node = "n7"\r\nwrong = 1\r\n'.encode("utf-8-sig")
    (tmp_path / "agent.toml").write_bytes(text)
    with pytest.raises(UsageError, match=r"agent\.toml:2:1: 'wrong' is not a setting"):
        load(file=tmp_path / "agent.toml", environ=HOME, options={})
    (tmp_path / "agent.toml").write_bytes(text.partition(b"wrong")[0])
    assert load(file=tmp_path / "agent.toml", environ=HOME, options={}).node == "n7"


def test_settings_in_a_pipe_do_not_hold_the_start_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "agent.toml", 0o600)
    for path in (tmp_path / "agent.toml", Path("/dev/null"), tmp_path):
        with pytest.raises(UsageError, match=r"is no regular file|Is a directory"):
            load(file=path, environ=HOME, options={})


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(file=tmp_path / "agent.toml", environ=HOME, options={})


@pytest.mark.parametrize(
    ("value", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5m", 90.0), (3, 3.0), (0.25, 0.25), ("1h", 3600.0)]
)
def test_times_have_units_or_are_seconds(tmp_path: Path, value: object, seconds: float) -> None:
    assert loaded("", tmp_path, scan_interval=value).scan_interval == seconds


@pytest.mark.parametrize("value", ["", "5", "s", "-1s", "1e3s", "nan", True, -1, 0, float("nan"), [], "99h"])
def test_what_is_no_time_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(UsageError, match="scan_interval takes a time"):
        loaded("", tmp_path, scan_interval=value)


def test_lists_are_toml_lists_or_separated_by_commas(tmp_path: Path) -> None:
    assert loaded('protected_units = ["a.service", "b*"]', tmp_path).protected_units == ("a.service", "b*")
    environ = {"GTHULHU_AGENT_PROTECTED_UNITS": "a.service, b*"}
    assert loaded("", tmp_path, environ).protected_units == ("a.service", "b*")
    assert loaded("protected_units = []", tmp_path).protected_units == ()


def test_variables_that_kubernetes_adds_for_a_service_of_our_name_are_not_settings(tmp_path: Path) -> None:
    added = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_API", "PORT", "PORT_18080_TCP", "PORT_18080_TCP_PROTO")
    environ = {f"{PREFIX}{name}": "tcp://10.0.0.1:18080" for name in added}
    assert loaded("", tmp_path, environ).listen == (Listen("127.0.0.1:18080"),)


def test_without_root_the_state_is_kept_where_the_user_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert loaded("", tmp_path).state_dir == Path("/home/me/.local/state/gthulhu-agent")
    assert loaded("", tmp_path, {"XDG_STATE_HOME": "/xdg"}).state_dir == Path("/xdg/gthulhu-agent")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert loaded("", tmp_path).state_dir == Path("/var/lib/gthulhu-agent")


def test_the_table_and_the_values_have_the_same_names() -> None:
    named = [setting.field for setting in SETTINGS if not setting.fills]
    assert [*named, "warnings"] == list(Settings.__dataclass_fields__)


def secret_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_secret_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    assert read(secret_file(tmp_path, b"0123456789abcdef\n")) == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("data", "mode", "told"),
    [
        (b"", 0o600, "0 bytes"),
        (b"short\n", 0o600, "5 bytes"),
        (b"x" * 5000, 0o600, "5000 bytes"),
        (b"0123456789abcdef", 0o644, "open to others"),
        (b"0123456789abcdef", 0o660, "open to others"),
        (b"0123456789abcdef\n0123456789abcdef\n", 0o600, "not one word"),
        ("ein paar Wörter zu viel".encode(), 0o600, "not one word"),
    ],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, data: bytes, mode: int, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(secret_file(tmp_path, data, mode))


def test_a_secret_file_that_is_a_pipe_does_not_hold_the_start_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret", 0o600)
    with pytest.raises(UsageError, match="is not a file"):
        read(tmp_path / "secret")


def test_a_secret_shows_nothing_of_itself() -> None:
    assert repr(Secret(b"0123456789abcdef")) == "Secret(…)"


def test_secrets_are_compared_by_the_function_that_takes_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    secret = Secret(b"0123456789abcdef")
    assert secret.matches(b"0123456789abcdef")
    assert not secret.matches(b"")
    assert compared == [(32, 32), (32, 32)]
