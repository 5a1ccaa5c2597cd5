"""`make demo`: the whole path on one machine, set up and cleaned up by itself."""
