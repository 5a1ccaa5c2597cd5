"""Gthulhu's Decision Maker, as use cases: what its clients send, what it means here, and what they read back."""
