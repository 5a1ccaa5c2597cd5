"""The file and the environment of a Gthulhu Decision Maker are taken as they are, and what cannot be is told."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import pytest
import trustme
from agent_program import run, serving

from gthulhu_agent.configuring.naming import named
from gthulhu_agent.errors import UsageError
from gthulhu_agent.settings import Listen, Settings, load
from gthulhu_agent.settingsdoctor import examine
from gthulhu_wire.dialects import Dialect

HOME = {"HOME": "/home/me"}
BODY = base64.encodebytes(bytes(range(200))).decode()
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}-----END RSA PRIVATE KEY-----\n"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}-----END CERTIFICATE-----\n"
HIDDEN = BODY.split()[0]
FILE = f"""[server]
host = ":8080"

[logging]
level = "warn"
path = "logs/app.log"

[token]
enable = true
rsa_private_key_pem = \"\"\"
{KEY}\"\"\"
token_duration_hr = 12

[mtls]
enable = false
cert_pem = \"\"\"
-----BEGIN CERTIFICATE-----
YOUR_DM_CERTIFICATE_HERE
-----END CERTIFICATE-----
\"\"\"
key_pem = \"\"\"
-----BEGIN EC PRIVATE KEY-----
YOUR_DM_PRIVATE_KEY_HERE
-----END EC PRIVATE KEY-----
\"\"\"
ca_pem = ""

[daemon]
endpoint = "http://127.0.0.1:18080"
timeout_sec = 7
"""
"""Laid out as the one that Gthulhu ships, placeholders too."""


def settings_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "dm_config.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None, **options: object) -> Settings:
    return load(file=settings_file(folder, text), environ={**HOME, **(environ or {})}, options=options)


def faults(
    folder: Path, text: str, environ: dict[str, str] | None = None, mode: int = 0o600, **options: object
) -> list[str]:
    with pytest.raises(UsageError) as refused:
        load(file=settings_file(folder, text, mode), environ={**HOME, **(environ or {})}, options=options)
    return str(refused.value).replace(f"{folder}/", "").splitlines()


def warnings(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    return [one.replace(f"{folder}/", "") for one in loaded(folder, text, environ).warnings]


def test_a_decision_makers_file_is_taken_as_it_stands(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FILE)
    assert settings.listen == (Listen("*:8080", "dm", Dialect.KERNEL),)
    assert settings.log_level == "warning"
    assert settings.token_rsa_private_key_pem is not None
    assert settings.token_rsa_private_key_pem.reveal() == KEY
    assert (settings.token_enable, settings.token_token_duration_hr) == (True, 12)
    assert (settings.mtls_enable, settings.mtls_ca_pem, settings.mtls_min_version) == (False, None, "1.3")
    assert (settings.daemon_endpoint, settings.daemon_timeout_sec) == ("http://127.0.0.1:18080", 7)
    assert warnings(tmp_path, FILE) == [
        "dm_config.toml:6:1: logging.path is without effect: the log goes to stderr",
    ]


def test_both_shapes_of_its_logging_are_taken(tmp_path: Path) -> None:
    text = '[logging]\nlevel = "DEBUG"\nfile_path = "x"\nconsole = true\n'
    assert loaded(tmp_path, text).log_level == "debug"
    assert len(warnings(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("level", "taken"), [("trace", "debug"), ("warn", "warning"), ("fatal", "error"), ("panic", "error")]
)
def test_levels_of_its_logger_are_taken_as_the_next_of_ours(tmp_path: Path, level: str, taken: str) -> None:
    assert loaded(tmp_path, environ={"DM_LOGGING_LEVEL": level}).log_level == taken


def test_our_keys_stand_beside_its_own_and_hold_before_them(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f'listen = "127.0.0.1:9"\nlog_level = "error"\n{FILE}')
    assert (settings.listen, settings.log_level) == ((Listen("127.0.0.1:9"),), "error")
    assert settings.warnings[1:] == (
        f"{tmp_path}/dm_config.toml:4:1: server.host is without effect: listen is set too",
        f"{tmp_path}/dm_config.toml:7:1: logging.level is without effect: log_level is set too",
    )


def test_what_it_fills_gives_way_to_ours_wherever_that_is_said(tmp_path: Path) -> None:
    environ = {"DM_SERVER_HOST": ":1", "DM_LOGGING_LEVEL": "error"}
    settings = loaded(tmp_path, 'listen = "127.0.0.1:9"\nlog_level = "debug"', environ)
    assert (settings.listen, settings.log_level) == ((Listen("127.0.0.1:9"),), "debug")


def test_x01_a_misspelt_key_is_no_mtls_that_is_silently_off(tmp_path: Path) -> None:
    text = '[mtls]\nenabel = true\n[tokn]\nx = 1\n[token]\n"rsa key" = 1\nduration_hr.x = 2\n'
    assert faults(tmp_path, text) == [
        "dm_config.toml:2:1: 'mtls.enabel' is not a setting; did you mean 'mtls.enable'?",
        "dm_config.toml:3:2: 'tokn' is not a setting; did you mean 'token'?",
        "dm_config.toml:6:2: 'token.rsa key' is not a setting; did you mean 'token.rsa_private_key_pem'?",
        "dm_config.toml:7:1: 'token.duration_hr' is not a setting; did you mean 'token.token_duration_hr'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server = 5", "dm_config.toml:1:1: 'server' is a section: [server]"),
        ('[server]\nhost = "x"', "dm_config.toml:2:1: server.host takes HOST:PORT or :PORT, not 'x'"),
        ("server.host = 1", "dm_config.toml:1:8: server.host takes HOST:PORT or :PORT, not 1"),
        ("server = {host = 1}", "dm_config.toml:1:11: server.host takes HOST:PORT or :PORT, not 1"),
        ("[token]\ntoken_duration_hr = 0", "dm_config.toml:2:1: token.token_duration_hr takes a number of hours"),
        ("[token]\ntoken_duration_hr = 721", "dm_config.toml:2:1: token.token_duration_hr takes a number of hours"),
        ("[mtls]\nenable = 1", "dm_config.toml:2:1: mtls.enable takes true or false, not 1"),
        ('[mtls]\nmin_version = "1.1"', 'dm_config.toml:2:1: mtls.min_version takes "1.2" or "1.3"'),
        ('[daemon]\nendpoint = "127.0.0.1:1"', "dm_config.toml:2:1: daemon.endpoint takes an http:// or https:// URL"),
        ('[bss]\nkubernetes = "http://10.0.0.1"', "dm_config.toml:2:1: bss.kubernetes takes in-cluster, or"),
        ('[bss]\ncors_origins = ["x.org/"]', "dm_config.toml:2:1: bss.cors_origins takes a list of origins"),
    ],
)
def test_what_a_key_does_not_take_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text)[0].startswith(told)


def test_its_environment_holds_over_the_file_and_ours_over_its(tmp_path: Path) -> None:
    dm, ours = {"DM_SERVER_HOST": "127.0.0.1:81"}, {"GTHULHU_AGENT_SERVER_HOST": "127.0.0.1:82"}
    assert loaded(tmp_path, FILE).listen[0].address == "*:8080"
    assert loaded(tmp_path, FILE, dm).listen[0].address == "127.0.0.1:81"
    assert loaded(tmp_path, FILE, {**dm, **ours}).listen[0].address == "127.0.0.1:82"
    assert loaded(tmp_path, FILE, {**dm, **ours}, server_host="127.0.0.1:83").listen[0].address == "127.0.0.1:83"


def test_its_environment_reaches_keys_that_the_file_does_not_have(tmp_path: Path) -> None:
    environ = {"DM_COMPAT_PUBLIC_KEY_LOGIN": "true", "DM_TOKEN_RSA_PRIVATE_KEY_PEM": KEY, "DM_MTLS_CLIENTS": "a, b*"}
    settings = loaded(tmp_path, "", environ)
    assert settings.compat_public_key_login
    assert settings.token_rsa_private_key_pem is not None
    assert settings.token_rsa_private_key_pem.reveal() == KEY
    assert settings.mtls_clients == ("a", "b*")


def test_its_environment_may_be_another_programs(tmp_path: Path) -> None:
    environ = {
        "DM_TOKEN_ENABEL": "x",
        "DM_FOO": "secret",
        "DM_SERVER_HOST": "",
        "DM_LISTEN": "x",
        "DM_PORT": "tcp://10.0.0.1:8080",
        "DM_SERVICE_HOST": "10.0.0.1",
        "DM_CONFIG_NAME": "x",
        "DM_LOGGING_PATH": "x",
    }
    assert warnings(tmp_path, "", environ) == [
        "DM_FOO: 'foo' is not a setting",
        "DM_LISTEN: 'listen' is not a setting",
        "DM_LOGGING_PATH: logging.path is without effect: the log goes to stderr",
        "DM_TOKEN_ENABEL: 'token_enabel' is not a setting; did you mean 'token_enable'?",
    ]


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "True", "TRUE"])
def test_switches_are_spelt_as_go_spells_them(tmp_path: Path, word: str) -> None:
    assert loaded(tmp_path, environ={"DM_COMPAT_OPEN_METRICS": word}).compat_open_metrics
    assert faults(tmp_path, "", {"DM_COMPAT_OPEN_METRICS": f"{word} "})


def test_node_and_machine_are_named_as_the_downward_api_names_them(tmp_path: Path) -> None:
    environ = {"NODE_NAME": "worker-3", "MACHINE_ID": "abc"}
    settings = loaded(tmp_path, "", environ)
    assert (settings.node, settings.machine_id) == ("worker-3", "abc")
    assert loaded(tmp_path, 'node = "mine"', environ).node == "mine"
    assert faults(tmp_path, "", {"NODE_NAME": "no name"}) == ["NODE_NAME: node takes a host name, not 'no name'"]


def test_the_machines_own_id_is_without_the_end_of_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine-id").write_text("0123456789abcdef\n")
    monkeypatch.setattr("gthulhu_agent.configuring.own._MACHINE_ID", tmp_path / "machine-id")
    assert loaded(tmp_path).machine_id == "0123456789abcdef"
    monkeypatch.setattr("gthulhu_agent.configuring.own._MACHINE_ID", tmp_path / "none")
    assert loaded(tmp_path).machine_id == ""


def test_its_file_is_found_where_its_variables_say(tmp_path: Path) -> None:
    folder = {"DM_CONFIG_DIR_PATH": str(tmp_path)}
    assert named(None, {}) is None
    assert named(None, folder) == tmp_path / "dm_config.toml"
    assert named(None, {**folder, "DM_CONFIG_NAME": "other"}) == tmp_path / "other.toml"
    assert named(None, {**folder, "GTHULHU_AGENT_CONFIG": "/b"}) == Path("/b")
    assert named("/a", {**folder, "GTHULHU_AGENT_CONFIG": "/b"}) == Path("/a")
    with pytest.raises(UsageError, match="DM_CONFIG_NAME") as refused:
        named(None, {"DM_CONFIG_NAME": "other"})
    assert "DM_CONFIG_DIR_PATH" in refused.value.cure


def mtls(**changed: str) -> str:
    keys = {"cert_pem": CERTIFICATE, "key_pem": KEY, "ca_pem": CERTIFICATE} | changed
    lines = (f'{name} = """\n{text}"""\n' for name, text in keys.items() if text)
    return f"[mtls]\nenable = true\n{''.join(lines)}"


def test_mtls_takes_its_keys(tmp_path: Path) -> None:
    settings = loaded(tmp_path, mtls())
    assert settings.mtls_key_pem is not None
    assert settings.mtls_ca_pem is not None
    assert (settings.mtls_key_pem.reveal(), settings.mtls_ca_pem.reveal()) == (KEY, CERTIFICATE)


@pytest.mark.parametrize("missing", ["cert_pem", "key_pem", "ca_pem"])
def test_mtls_is_whole_or_an_error(tmp_path: Path, missing: str) -> None:
    assert faults(tmp_path, mtls(**{missing: ""})) == [f"dm_config.toml:2:1: mtls.enable needs mtls.{missing}"]


@pytest.mark.parametrize("text", ["-----BEGIN CERTIFICATE-----\nYOUR_CA_HERE\n-----END CERTIFICATE-----\n", KEY])
def test_a_placeholder_is_no_certificate_once_mtls_is_on(tmp_path: Path, text: str) -> None:
    (told,) = faults(tmp_path, mtls(ca_pem=text))
    assert re.fullmatch(r"dm_config\.toml:\d+:1: mtls\.ca_pem holds no CERTIFICATE block: .*", told)


def test_tls_without_certificates_of_callers_needs_both_and_goes_without_mtls(tmp_path: Path) -> None:
    tls = f'[tls]\ncert_pem = """\n{CERTIFICATE}"""\n'
    assert faults(tmp_path, tls) == ["dm_config.toml:2:1: tls.cert_pem needs tls.key_pem"]
    both = f'{tls}key_pem = """\n{KEY}"""\n'
    assert loaded(tmp_path, both).tls_cert_pem is not None
    assert faults(tmp_path, both + mtls())[0].endswith("tls.cert_pem is instead of mtls.enable, and both are set")


def test_a_daemon_that_is_this_agent_is_refused(tmp_path: Path) -> None:
    text = 'listen = "127.0.0.1:18080"\n[daemon]\nendpoint = "http://localhost:18080/"\n'
    assert faults(tmp_path, text) == ["dm_config.toml:3:1: daemon.endpoint is where this agent itself listens"]


def test_a_daemon_whose_url_has_no_port_is_where_its_scheme_says(tmp_path: Path) -> None:
    """It was taken for this agent where that listens on a Unix socket, which has no port either."""
    socket = f'listen = "unix:{tmp_path}/agent.sock"\n'
    assert loaded(tmp_path, f'{socket}[daemon]\nendpoint = "http://localhost"\n').daemon_endpoint
    listening = 'listen = "127.0.0.1:80"\n[daemon]\nendpoint = "http://localhost"\n'
    assert faults(tmp_path, listening)[0].endswith("daemon.endpoint is where this agent itself listens")


def test_what_is_switched_off_by_another_setting_is_told(tmp_path: Path) -> None:
    text = '[token]\nenable = false\nclients = "/c"\n[mtls]\nclients = ["a"]\n[bss]\ncors_origins = "*"\n'
    assert warnings(tmp_path, text) == [
        "dm_config.toml:5:1: mtls.clients is without effect: mtls.enable is false",
        "dm_config.toml:3:1: token.clients is without effect: token.enable is false",
        "dm_config.toml:7:1: bss.cors_origins is without effect: no listener has api=bss",
    ]


def test_ways_of_logging_in_are_those_that_are_whole(tmp_path: Path) -> None:
    assert loaded(tmp_path).logins == ()
    assert loaded(tmp_path, 'secret_file = "/s"\n[token]\nclients = "/c"\n').logins == ("secret_file", "token.clients")
    assert loaded(tmp_path, f'{mtls()}clients = "a"').logins == ("mtls.clients",)
    assert loaded(tmp_path, "", {"DM_COMPAT_PUBLIC_KEY_LOGIN": "1"}).logins == ("compat.public_key_login",)
    assert loaded(tmp_path, "", {"DM_COMPAT_PUBLIC_KEY_LOGIN": "1", "DM_TOKEN_ENABLE": "false"}).logins == ()


def test_serve_takes_its_file_by_its_variables_and_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FILE.replace(KEY, "").replace(":8080", "127.0.0.1:0")
    monkeypatch.setenv("DM_CONFIG_DIR_PATH", str(settings_file(tmp_path, text).parent))
    monkeypatch.setenv("DM_ODD", "1")
    with serving(tmp_path) as program:
        assert program.call("GET", "/v1/version")["node"] == "n1"
        _, stderr = program.stop()
    assert "dm_config.toml:6:1: logging.path is without effect" in stderr
    assert "DM_ODD: 'odd' is not a setting" in stderr


def doctor(folder: Path, text: str, mode: int = 0o600) -> dict[str, list[tuple[bool, str]]]:
    """What it says of settings and secrets, by name."""
    found: dict[str, list[tuple[bool, str]]] = {}
    for check in examine(str(settings_file(folder, text, mode)), HOME, now=time.time()):
        found.setdefault(check.name, []).append((check.ok, check.why.replace(f"{folder}/", "")))
        assert HIDDEN not in f"{check.why}{check.cure}"
    return found


def test_doctor_says_what_of_a_file_would_not_do(tmp_path: Path) -> None:
    line = FILE.count("\n") + 1
    file = settings_file(tmp_path, FILE + "[mtsl]\nenable = true\n")
    done = run(tmp_path, "doctor", "--json", "--config", str(file))
    assert done.returncode == 1
    assert [check["why"] for check in json.loads(done.stdout) if check["name"] == "settings"] == [
        f"{file}:{line}:2: 'mtsl' is not a setting; did you mean 'mtls'?",
    ]
    assert HIDDEN not in done.stdout + done.stderr


def test_doctor_tries_the_certificate_and_its_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("node-1")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    own.private_key_pem.write_to_path(tmp_path / "key")
    authority.cert_pem.write_to_path(tmp_path / "ca")
    (tmp_path / "key").chmod(0o600)
    names = {"cert": "cert_pem", "key": "key_pem", "ca": "ca_pem"}
    text = "[mtls]\nenable = true\n" + "".join(f'{key} = "{tmp_path}/{name}"\n' for name, key in names.items())
    found = doctor(tmp_path, text)
    ((ok, why),) = found["tls"]
    assert ok
    assert re.fullmatch(r"certificate and key fit; \d+ days to the certificate's end", why)
    (tmp_path / "key").chmod(0o644)
    assert doctor(tmp_path, text)["tls"] == [(False, "mtls.key_pem: key is open to others")]
    (tmp_path / "key").unlink()
    assert doctor(tmp_path, text)["tls"][0][1].startswith("mtls.key_pem: key cannot be read: No such file")


def test_doctor_says_which_clients_may_sign(tmp_path: Path) -> None:
    (tmp_path / "clients").mkdir(mode=0o755)
    (tmp_path / "clients/manager.pem").write_bytes(
        trustme.CA().issue_cert("x").private_key_pem.bytes()  # a private key where a public one belongs
    )
    text = f'[token]\nclients = "{tmp_path}/clients"\n'
    assert doctor(tmp_path, text)["token-clients"] == [
        (False, "token.clients: clients/manager.pem is no public key in PEM")
    ]
    (tmp_path / "clients/manager.pem").unlink()
    assert doctor(tmp_path, text)["token-clients"] == [(True, "clients has no keys")]
    (tmp_path / "clients").chmod(0o777)
    assert doctor(tmp_path, text)["token-clients"] == [(False, "token.clients: others may put files into clients")]


def test_doctor_says_that_nobody_could_log_in(tmp_path: Path) -> None:
    found = doctor(tmp_path, '[server]\nhost = ":8080"\n')
    ((ok, why),) = found["login"]
    assert (ok, why) == (False, "none: whoever reaches the agent steers it; reached from other machines: *:8080")
    found = doctor(tmp_path, '[server]\nhost = ":8080"\n[compat]\npublic_key_login = true\n')
    assert found["login"] == [(True, "compat.public_key_login; reached from other machines: *:8080")]
