"""One module per command. The table is all that ``--help`` needs: a command's module is imported when it runs."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "validate": "Check policies, offline.",
    "plan": "Show what would change, and change nothing.",
    "apply": "Plan, ask, and push; or push a saved plan.",
    "show": "Show a saved plan.",
    "explain": "Why a pod or a process runs as it does.",
    "test": "Run unit tests of policies.",
    "status": "What every agent holds, enforces, and lacks.",
    "drift": "What changed on the nodes outside of us.",
    "serve": "Keep the nodes as the policies want them.",
    "schema": "Print a JSON Schema, for editors and other tools.",
    "init": "Write a first policy to start from.",
    "completion": "Print the completion script of a shell.",
}
"""Commands with their short help, in the order of a person's way through them."""
