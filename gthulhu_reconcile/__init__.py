"""Declarative CPU scheduling policies for fleets."""

__version__ = "0.1.0"
