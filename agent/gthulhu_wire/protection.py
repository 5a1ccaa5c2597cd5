"""What no policy takes by accident, as both sides start from it; operators' settings replace either list."""

from __future__ import annotations

PROTECTED_UNITS = (
    "gthulhu-agent.service",
    "kubelet.service",
    "containerd.service",
    "crio.service",
    "docker.service",
    "podman.service",
    "ssh.service",
    "sshd.service",
    "systemd-*.service",
    "dbus*.service",
    "init.scope",
)
"""systemd units, exact or glob: whoever loses the CPU here loses the node."""
