"""Programs for the kernel: loading, attaching and talking to what ``make bpf`` compiled from ``bpf/``.

ctypes over the system's libbpf.so.1, so that a node needs no compiler and the agent no extension module.
"""
