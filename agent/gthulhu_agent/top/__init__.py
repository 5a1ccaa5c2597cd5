"""``gthulhu-agent top``: what pods and threads use, as a table that is refreshed in place."""
