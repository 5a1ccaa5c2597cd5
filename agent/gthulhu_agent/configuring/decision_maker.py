"""Settings in sections: those of Gthulhu's Decision Maker by its names, and those of its APIs and logins here."""

from __future__ import annotations

from gthulhu_agent.configuring.listens import Listen, go_address
from gthulhu_agent.configuring.setting import Setting, always
from gthulhu_agent.configuring.values import (
    choice,
    count,
    kubernetes,
    level,
    names,
    optional_path,
    origins,
    pem,
    switch,
    text,
    url,
)

_PEM = "PEM text, /a/path or credential:NAME"


def _server(value: object) -> tuple[Listen, ...]:
    return (Listen(go_address(text(value))),)


def _pem(name: str, told: str, *, private: bool = False) -> Setting:
    return Setting(name, pem(name, private=private), _PEM, always(None), told, secret=True, credential=True)


def _switch(name: str, told: str, *, default: bool = False) -> Setting:
    return Setting(name, switch, "true or false", always(default), told)


SECTIONED = (
    Setting(
        "server.host",
        _server,
        "HOST:PORT or :PORT",
        always(None),
        "Where a Decision Maker listens, every address without HOST; what listen says holds instead.",
        fills="listen",
    ),
    Setting(
        "logging.level",
        level,
        "trace, debug, info, warn, warning, error, fatal or panic",
        always(None),
        "A Decision Maker's name of log_level, which holds instead.",
        fills="log_level",
    ),
    _switch("token.enable", "Whether tokens are issued and taken.", default=True),
    _pem(
        "token.rsa_private_key_pem",
        "RSA key that signs tokens; without one it is made once, in the state folder.",
        private=True,
    ),
    Setting(
        "token.token_duration_hr",
        count(1, 720),
        "a number of hours from 1 to 720",
        always(24),
        "How long a token holds.",
    ),
    Setting(
        "token.clients",
        optional_path,
        "a path",
        always(None),
        "Folder of CLIENT_ID.pem: public keys of those whose signed assertion is a login.",
    ),
    _switch("mtls.enable", "TLS for every network listener, and no connection without a certificate of ca_pem's."),
    _pem("mtls.cert_pem", "Certificate chain of the agent."),
    _pem("mtls.key_pem", "Private key of that certificate.", private=True),
    _pem("mtls.ca_pem", "Authorities whose certificates callers may show."),
    Setting(
        "mtls.min_version",
        choice("1.2", "1.3"),
        '"1.2" or "1.3"',
        always("1.3"),
        "Oldest version of TLS that is spoken, also where tls.cert_pem is set.",
    ),
    Setting(
        "mtls.clients",
        names,
        "a list of names or globs",
        always(()),
        "Names (subjectAltName, or the common name where there is none) whose certificate is a login by itself.",
    ),
    _pem("tls.cert_pem", "Certificate chain of the agent, for TLS without certificates of callers."),
    _pem("tls.key_pem", "Private key of that certificate.", private=True),
    Setting(
        "daemon.endpoint",
        url,
        "an http:// or https:// URL",
        always(""),
        "Gthulhu's scheduler daemon, which gets the runtime configuration. Without one it is applied here.",
    ),
    Setting(
        "daemon.timeout_sec",
        count(1, 600),
        "a number of seconds from 1 to 600",
        always(5),
        "How long that daemon may take to answer.",
    ),
    _switch(
        "compat.public_key_login",
        "Issue tokens to whoever sends the agent's public key, as Gthulhu does. It proves nothing.",
    ),
    _switch("compat.open_metrics", "Serve /metrics without a login where everything else needs one."),
    Setting(
        "bss.cors_origins",
        origins,
        "a list of origins, or *",
        always(()),
        "Origins of web pages that may call the older BSS API.",
    ),
    Setting(
        "bss.kubernetes",
        kubernetes,
        "in-cluster, or an https:// URL (http:// on loopback)",
        always(""),
        "API server that is asked for the labels of this node's pods, for strategies with selectors.",
    ),
    Setting(
        "bss.kubernetes_token_file",
        optional_path,
        "a path or credential:NAME",
        always(None),
        "File with the token for that API server; in-cluster it is the pod's own.",
        credential=True,
    ),
    Setting(
        "bss.kubernetes_ca_file",
        optional_path,
        "a path or credential:NAME",
        always(None),
        "File with the authorities of that API server; in-cluster they are the pod's own.",
        credential=True,
    ),
)

WITHOUT_EFFECT = {
    "logging.path": "the log goes to stderr",
    "logging.file_path": "the log goes to stderr",
    "logging.console": "log_format says how lines look",
}
"""Keys of a Decision Maker's file that mean nothing here, as they mean nothing there, and why."""
