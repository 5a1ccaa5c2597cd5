"""From files and bytes to policies and diagnostics."""
