"""TLS of the agent's network listeners: certificates read, checked, and read anew while it runs."""

from gthulhu_agent.tls.reloading import Tls
from gthulhu_agent.tls.sources import Sources, sources

__all__ = ["Sources", "Tls", "sources"]
