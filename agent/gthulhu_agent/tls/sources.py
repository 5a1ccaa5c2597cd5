"""Where the agent's certificate, its key and the authorities of its callers come from, by the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.settings import Settings

Version = Literal["1.2", "1.3"]


@dataclass(frozen=True, slots=True)
class Sources:
    """What TLS is made of.

    Attributes:
        authorities: whose certificates callers have to show; None where they show none.
        oldest: the oldest version of TLS that is spoken.
    """

    certificate: SecretText
    key: SecretText
    authorities: SecretText | None
    oldest: Version


def sources(settings: Settings) -> Sources | None:
    """What ``settings`` say of TLS; None where network listeners speak plain HTTP.

    Raises:
        UsageError: a part is missing, or both kinds of TLS are asked for.
    """
    oldest: Version = "1.2" if settings.mtls_min_version == "1.2" else "1.3"
    simple = settings.tls_cert_pem is not None or settings.tls_key_pem is not None
    if settings.mtls_enable and simple:
        raise UsageError(
            "mtls.enable and tls.cert_pem exclude each other", cure="with mtls the certificate is mtls.cert_pem"
        )
    if settings.mtls_enable:
        return Sources(
            _said("mtls.cert_pem", settings.mtls_cert_pem),
            _said("mtls.key_pem", settings.mtls_key_pem),
            _said("mtls.ca_pem", settings.mtls_ca_pem),
            oldest,
        )
    if not simple:
        return None
    return Sources(
        _said("tls.cert_pem", settings.tls_cert_pem), _said("tls.key_pem", settings.tls_key_pem), None, oldest
    )


def _said(name: str, value: SecretText | None) -> SecretText:
    if value is None:
        raise UsageError(f"TLS needs {name}", cure="PEM text, a path or credential:NAME")
    return value
