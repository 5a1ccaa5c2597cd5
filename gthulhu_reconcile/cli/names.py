"""Names by which the program and its environment variables go."""

PROGRAM = "gthulhu-reconcile"
DEBUG_VARIABLE = "GTHULHU_DEBUG"
COMPLETION_VARIABLE = "_GTHULHU_RECONCILE_COMPLETE"
"""Set by the completion scripts, to which click gives this name."""
