"""What keeps programs that tests start from outliving them."""

from __future__ import annotations

ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: the kernel kills it when the thread that started it ends, also where nobody could clean up."""
