"""Hearing of new threads from the kernel, instead of looking for them."""
