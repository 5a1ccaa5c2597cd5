"""Node agent: turns scheduling intents into kernel scheduling."""

__version__ = "0.1.0"
