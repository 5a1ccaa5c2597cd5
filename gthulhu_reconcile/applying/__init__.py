"""Pushing desired sets to agents, and saved plans."""
