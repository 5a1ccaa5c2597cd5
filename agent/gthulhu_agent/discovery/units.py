"""The systemd unit that a cgroup belongs to, by the rules of systemd's own ``cg_path_get_unit``."""

from __future__ import annotations

import re

# systemd.unit(5): the name's characters, then one of the types that have a cgroup.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,248}\.(?P<type>service|scope|slice|socket|mount|swap)")


def unit_of(cgroup: str) -> str:
    """The unit that ``cgroup`` belongs to: the first below the slices, else the innermost slice, else nothing.

    A service that makes cgroups of its own (a container engine, a user's own systemd) owns all of them.
    """
    slice_ = ""
    for part in cgroup.split("/"):
        # systemd puts "_" before a name that the kernel could take for a file of its own (cg_escape).
        name = part.removeprefix("_")
        found = _UNIT.fullmatch(name)
        if found is None:
            if part:
                break
        elif found["type"] == "slice":
            slice_ = name
        else:
            return name
    return slice_
