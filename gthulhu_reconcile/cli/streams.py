"""Standard streams whose reader goes away. Apart from ``terminal``, which costs ``--help`` the import of rich."""

from __future__ import annotations

import contextlib
import os
from typing import IO


def detach(stream: IO[str]) -> None:
    """Point ``stream`` to nowhere, so that neither later writes nor the flush at exit fail."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
