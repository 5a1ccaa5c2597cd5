"""From PEM to a TLS context: everything is read once, checked, and refused as a whole or taken as a whole."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gthulhu_agent.errors import UsageError
from gthulhu_agent.tls.sources import Sources
from gthulhu_agent.tokens.published import published, spki

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""
_NO_PASSWORD = "no password is taken"  # noqa: S105 - the text of a refusal


@dataclass(frozen=True, slots=True)
class Texts:
    """What was read: PEM. ``authorities`` is empty where callers show no certificate."""

    certificate: str
    key: str
    authorities: str = ""

    @property
    def digest(self) -> bytes:
        """The same for the same texts."""
        parts = (self.certificate, self.key, self.authorities)
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def __repr__(self) -> str:
        return "Texts(…)"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A context that serves, what it was made from, and its certificate's time in Unix seconds."""

    context: ssl.SSLContext
    digest: bytes
    begins_at: int
    ends_at: int


def read(sources: Sources) -> Texts:
    """The texts as they are now.

    Raises:
        UsageError: one cannot be read.
    """
    return Texts(
        sources.certificate.reveal(),
        sources.key.reveal(),
        "" if sources.authorities is None else sources.authorities.reveal(),
    )


def load(sources: Sources, texts: Texts) -> Loaded:
    """A context of ``texts``.

    Raises:
        UsageError: they are no certificate, key and authorities that fit together, or a key is one that everybody has.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where TLS is in use

    try:
        return _load(sources, texts)
    except (ValueError, UnsupportedAlgorithm) as error:  # a certificate is read piece by piece, when one is asked for
        names = sorted({sources.certificate.name, getattr(sources.authorities, "name", sources.certificate.name)})
        raise UsageError(f"{' or '.join(names)}: there is a certificate that cannot be read ({error})") from error


def _load(sources: Sources, texts: Texts) -> Loaded:
    chain = _certificates(sources.certificate.name, texts.certificate)
    _refuse_published(sources.certificate.name, chain[:1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if sources.oldest == "1.2" else ssl.TLSVersion.TLSv1_3
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    _take_chain(context, sources, texts)
    if sources.authorities is not None:
        authorities = _certificates(sources.authorities.name, texts.authorities)
        _refuse_published(sources.authorities.name, authorities)
        try:
            # As they were read: between the certificates of a bundle there may be words, in any letters.
            context.load_verify_locations(cadata=b"".join(_der(one) for one in authorities))
        except ssl.SSLError as error:
            raise UsageError(f"{sources.authorities.name}: {error.reason or error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return Loaded(
        context,
        texts.digest,
        int(chain[0].not_valid_before_utc.timestamp()),
        int(chain[0].not_valid_after_utc.timestamp()),
    )


def _take_chain(context: ssl.SSLContext, sources: Sources, texts: Texts) -> None:
    def no_password() -> bytes:
        raise ValueError(_NO_PASSWORD)  # without this, OpenSSL would ask on the terminal

    # The library takes files alone; this one is in memory, and nobody else can open it.
    fd = os.memfd_create("gthulhu-agent-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "w", encoding="utf-8") as stream:
            stream.write(f"{texts.key.strip()}\n{texts.certificate.strip()}\n")
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or ("not PEM" if isinstance(error, ssl.SSLError) else str(error))
        raise UsageError(
            f"{sources.key.name}: it is no unencrypted key of the certificate in {sources.certificate.name} ({reason})"
        ) from error
    finally:
        os.close(fd)


def _certificates(name: str, text: str) -> list[Certificate]:
    from cryptography import x509  # noqa: PLC0415 - only where TLS is in use

    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise UsageError(f"{name}: there is no certificate in PEM ({error})") from error


def _der(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - only where TLS is in use

    return certificate.public_bytes(Encoding.DER)


def _refuse_published(name: str, certificates: list[Certificate]) -> None:
    for certificate in certificates:
        known = published(spki(certificate.public_key()))
        if known:
            raise UsageError(
                f"{name}: this is {known}, whose private key is public: whoever has it is let in",
                cure="make an authority and certificates of your own",
            )
