"""Tables of requests and answers, and what runs them against any URL.

``python -m contract URL`` needs nothing but the standard library, so that it can be pointed at any implementation.
docs/contract.md describes the tables.
"""
