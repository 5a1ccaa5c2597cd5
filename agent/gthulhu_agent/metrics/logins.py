"""Who came in, who did not, and how long the certificate that callers see is valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, Metric

from gthulhu_agent.metrics.families import PREFIX, counter, gauge
from gthulhu_agent.tokens.values import LoginFault

if TYPE_CHECKING:
    from gthulhu_agent.tls.reloading import Tls
    from gthulhu_agent.tokens.values import LoginTally

PROOFS = ("public-key", "assertion", "certificate")


class LoginCollector:
    """Reads the tally of logins; nothing of TLS where ``tls`` is None."""

    def __init__(self, tally: LoginTally, tls: Tls | None) -> None:
        self._tally = tally
        self._tls = tls

    def collect(self) -> Iterator[Metric]:
        """Every outcome, also those that have not come about yet: a first one is then a rise."""
        issued = CounterMetricFamily(f"{PREFIX}_tokens_issued", "Tokens that were given, by proof.", labels=["proof"])
        for proof in PROOFS:
            issued.add_metric([proof], self._tally.issued[proof])
        yield issued
        refused = CounterMetricFamily(f"{PREFIX}_logins_refused", "Requests for a token, by why not.", labels=["why"])
        for why in LoginFault:
            refused.add_metric([why.value], self._tally.refused[why.value])
        yield refused
        yield counter("tokens_invalid", "Tokens that were shown and did not hold.", self._tally.invalid)
        if self._tls is not None:
            yield gauge("certificate_expiry_timestamp_seconds", "When the agent's certificate ends.", self._tls.ends_at)
            yield counter("certificate_reloads", "New certificates that were taken.", self._tls.reloads)
