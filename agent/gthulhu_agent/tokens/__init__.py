"""Logins: who proves what, and the tokens that it gets for it.

Tokens are RS256 JWTs as Gthulhu's clients expect them. What proves the possession of a private key (a signed
assertion, a client certificate) gives full access; the public key that Gthulhu's clients send proves nothing, is taken
only where the operator says so, and gives the Decision Maker's API alone.
"""

from gthulhu_agent.tokens.login import Login, Ways
from gthulhu_agent.tokens.values import LoginFault, LoginRefused, LoginTally, Token, TokenRequest

__all__ = ["Login", "LoginFault", "LoginRefused", "LoginTally", "Token", "TokenRequest", "Ways"]
