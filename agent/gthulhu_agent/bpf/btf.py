"""Where the variables of an object lie, by its own type information (BTF)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from gthulhu_agent.bpf.libbpf import Libbpf

_KIND_DATASEC = 15


class _Type(ctypes.Structure):  # struct btf_type of include/uapi/linux/btf.h
    _fields_ = (("name", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size_or_type", ctypes.c_uint32))


class _SectionVariable(ctypes.Structure):  # struct btf_var_secinfo, as many as the section's type says
    _fields_ = (("type", ctypes.c_uint32), ("offset", ctypes.c_uint32), ("size", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class Variable:
    """Place of a variable in its section, in bytes."""

    offset: int
    size: int


def variables(library: Libbpf, btf: int, section: str) -> dict[str, Variable]:
    """The variables of a data section, by name; none where the object has no such section."""
    number = library.call.btf__find_by_name_kind(btf, section.encode(), _KIND_DATASEC)
    if number < 0:
        return {}
    address = library.call.btf__type_by_id(btf, number)
    count = _Type.from_address(address).info & 0xFFFF
    entries = (_SectionVariable * count).from_address(address + ctypes.sizeof(_Type))
    found = {}
    for entry in entries:
        of = _Type.from_address(library.call.btf__type_by_id(btf, entry.type))
        name = library.call.btf__name_by_offset(btf, of.name)
        found[name.decode()] = Variable(entry.offset, entry.size)
    return found
