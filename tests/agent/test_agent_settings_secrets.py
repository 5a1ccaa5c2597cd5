"""Keys are taken from text, files and systemd's credentials, only where nobody else has them, and are shown nowhere."""

from __future__ import annotations

import base64
import copy
import dataclasses
import os
import re
from pathlib import Path

import pytest
from agent_program import run
from requirement import missing

from gthulhu_agent import settingsfile
from gthulhu_agent.configuring.said import from_file
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import MAX_BYTES, SecretText, check_folder, read
from gthulhu_agent.settings import BY_NAME, SETTINGS, Settings, load

HOME = {"HOME": "/home/me"}
HIDDEN = base64.b64encode(b"a key that nobody may see").decode()
KEY = f"-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n-----END PRIVATE KEY-----\n"


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None, mode: int = 0o600) -> Settings:
    file = folder / "agent.toml"
    file.write_text(text)
    file.chmod(mode)
    return load(file=file, environ={**HOME, **(environ or {})}, options={})


def refused(folder: Path, text: str = "", environ: dict[str, str] | None = None, mode: int = 0o600) -> str:
    with pytest.raises(UsageError) as told:
        loaded(folder, text, environ, mode)
    return str(told.value).replace(f"{folder}/", "")


def key_file(folder: Path, mode: int = 0o600, data: bytes = KEY.encode()) -> Path:
    file = folder / "key.pem"
    file.write_bytes(data)
    file.chmod(mode)
    return file


def token_key(settings: Settings) -> SecretText:
    assert settings.token_rsa_private_key_pem is not None
    return settings.token_rsa_private_key_pem


def test_a_key_in_a_file_is_read_as_it_is_at_the_time(tmp_path: Path) -> None:
    key = token_key(loaded(tmp_path, f'[token]\nrsa_private_key_pem = "{key_file(tmp_path)}"'))
    assert (key.path, key.reveal()) == (tmp_path / "key.pem", KEY)
    key_file(tmp_path, data=b"renewed")
    assert key.reveal() == "renewed"


def test_a_credential_of_systemd_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    key_file(tmp_path / "credentials", 0o440)
    text = 'secret_file = "credential:shared"\n[token]\nrsa_private_key_pem = "credential:key.pem"\n'
    settings = loaded(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert token_key(settings).reveal() == KEY
    assert settings.secret_file == tmp_path / "credentials/shared"


def test_a_credential_that_was_not_passed_is_told_with_the_cure(tmp_path: Path) -> None:
    text = '[tls]\nkey_pem = "credential:tls.key"\n'
    assert refused(tmp_path, text) == (
        "agent.toml:2:1: tls.key_pem: systemd passed no credentials; LoadCredential=tls.key:/its/path in the unit does"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "../key.pem", "a/b", "a b", "x" * 256])
def test_a_credential_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    text = f'secret_file = "credential:{name}"'
    assert "no credential can have that name" in refused(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666])
def test_a_key_that_others_have_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="is open to others") as told:
        read(key_file(tmp_path, mode), "tls.key_pem", private=True)
    assert told.value.cure == f"chmod 600 {tmp_path}/key.pem"


def test_a_key_of_another_user_is_refused_whatever_its_mode(tmp_path: Path) -> None:
    """The mode says nothing about the owner, who can change it and the key."""
    if os.geteuid() != 0:
        missing("root, which can give files away")
    file = key_file(tmp_path)
    os.chown(file, 12345, 0)
    with pytest.raises(UsageError, match="is another user's") as told:
        read(file, "tls.key_pem", private=True)
    assert told.value.cure == f"chown 0 {file}"
    os.chown(tmp_path, 12345, 0)
    with pytest.raises(UsageError, match="is another user's"):
        check_folder(tmp_path, "token.clients")


def test_a_certificate_may_be_read_by_all_and_written_by_nobody_else(tmp_path: Path) -> None:
    assert read(key_file(tmp_path, 0o644), "tls.cert_pem", private=False) == KEY
    with pytest.raises(UsageError, match="is open to others"):
        read(key_file(tmp_path, 0o664), "tls.cert_pem", private=False)


def test_what_is_no_file_of_text_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path, told in (
        (tmp_path / "fifo", "is not a file"),
        (tmp_path, "directory"),
        (tmp_path / "none", "No such file"),
        (key_file(tmp_path, data=b"\xff"), "is not UTF-8"),
    ):
        with pytest.raises(UsageError, match=told):
            read(path, "tls.key_pem", private=True)
    with pytest.raises(UsageError, match=f"more than {MAX_BYTES} bytes"):
        read(key_file(tmp_path, data=b"x" * (MAX_BYTES + 1)), "tls.key_pem", private=True)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_x01_a_key_in_settings_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    text = f'[token]\nrsa_private_key_pem = """\n{KEY}"""\n'
    assert token_key(loaded(tmp_path, text, mode=0o640)).reveal() == KEY
    told = refused(tmp_path, text, mode=mode)
    assert told == (
        "agent.toml:2:1: token.rsa_private_key_pem is a private key in a file that others may read: chmod 600 it"
    )


def test_a_key_that_is_not_in_force_may_be_anything(tmp_path: Path) -> None:
    text = f'[token]\nenable = false\nrsa_private_key_pem = """\n{KEY}"""\n'
    assert loaded(tmp_path, text, mode=0o644).warnings == ()


def test_settings_that_everybody_may_write_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "", mode=0o602) == "agent.toml: everybody may write to it"


def test_a_key_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--state-dir", str(tmp_path / "state"), "--token-rsa-private-key-pem", KEY)
    assert done.returncode == 64
    assert "--token-rsa-private-key-pem: token.rsa_private_key_pem is seen by every user" in done.stderr
    assert HIDDEN not in done.stderr + done.stdout


def test_what_a_file_says_is_not_shown_before_it_is_known_to_be_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[tls]\nkey_pem = """\n{KEY}"""\n')
    file.chmod(0o600)
    entries = settingsfile.read(file, ["tls"])
    said = from_file(file, BY_NAME, [], [])
    assert said[0].said == entries[0].value == KEY
    assert HIDDEN not in repr(entries) + repr(said)


def test_x14_a_secret_text_shows_nothing_of_itself(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f'[token]\nrsa_private_key_pem = """\n{KEY}"""\n')
    key = token_key(settings)
    for shown in (repr(key), str(key), f"{key}", f"{key!r:>50}", repr(settings), str(dataclasses.asdict(settings))):
        assert HIDDEN not in shown
        assert "SecretText(…)" in shown
    assert copy.deepcopy(key) == key
    assert key != SecretText(key.name, text="another")
    assert hash(key) == hash(SecretText(key.name, text="another"))


SECRET_ONES = [setting.name for setting in SETTINGS if setting.secret]


@pytest.mark.parametrize("name", [*SECRET_ONES, "node", "listen", "state_dir.x", "server.host", "no_setting"])
@pytest.mark.parametrize(
    "value",
    [
        f'"""\n{KEY}"""',
        f"'''\n{HIDDEN}\n'''",
        f'["""{KEY}"""]',
        f"{{a = '''{KEY}'''}}",
        f'"""{KEY}',
        f'"""{KEY}""" x',
        f'"{KEY.splitlines()[0]}\\q{HIDDEN}"',
    ],
)
def test_x14_no_error_shows_a_key_wherever_it_was_put(tmp_path: Path, name: str, value: str) -> None:
    if name not in SECRET_ONES and "KEY-----" not in value:
        return  # what has no frame of PEM and stands in a setting that is no secret cannot be known to be one
    with pytest.raises(UsageError) as told:
        loaded(tmp_path, f"{'mtls.enable = true' if 'mtls' in name else ''}\n{name} = {value}\n", mode=0o644)
    assert HIDDEN not in f"{told.value}{told.value.cure}"


def test_pem_settings_take_text_or_a_path_and_nothing_between(tmp_path: Path) -> None:
    for name in SECRET_ONES:
        section, key = name.split(".")
        told = refused(tmp_path, f'[{section}]\n{key} = """{HIDDEN}\n{HIDDEN}"""')
        assert re.fullmatch(rf"agent\.toml:2:1: {re.escape(name)} takes PEM text, .*, and this is something else", told)
