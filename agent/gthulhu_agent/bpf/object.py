"""A compiled object on its way into the kernel: open, tune, load, attach, close."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gthulhu_agent.bpf.btf import variables
from gthulhu_agent.bpf.libbpf import Libbpf
from gthulhu_agent.bpf.maps import BpfMap
from gthulhu_agent.errors import BpfError

OBJECTS: Final = Path(__file__).parent / "objects"
_READ_ONLY: Final = ".rodata"
BUILD: Final = "install an agent that was built with it; in a checkout: make bpf"
"""The cure of an object that is not there, or damaged."""


def object_file(name: str) -> Path:
    """Where ``make bpf`` puts ``bpf/<name>.bpf.c``; in an installed agent too."""
    return OBJECTS / f"{name}.bpf.o"


class BpfObject:
    """One object file. Close it: what is not pinned leaves the kernel then, and when the process ends.

    Attributes:
        name: as in "tracer".
    """

    def __init__(self, library: Libbpf, name: str) -> None:
        """Open it.

        Raises:
            BpfError: it is not there or is none.
        """
        self.name = name
        self._library = library
        self._call = library.call
        self._links: dict[str, int] = {}
        self._object: int | None = None
        path = object_file(name)
        if not path.exists():
            raise BpfError(f"{path} is not there", BUILD)
        with library.doing(f"opening {path.name}", f"it is damaged: {BUILD}"):
            self._object = library.check(self._call.bpf_object__open_file(os.fsencode(path), None))

    def tune(self, values: Mapping[str, int]) -> None:
        """Set integer constants of the programs before they are loaded; the verifier then drops what they rule out.

        Raises:
            BpfError: there is no such constant.
        """
        section = self._call.bpf_object__find_map_by_name(self._open, _READ_ONLY.encode())
        size = ctypes.c_size_t()
        start = self._call.bpf_map__initial_value(section, ctypes.byref(size)) if section else None
        places = variables(self._library, self._call.bpf_object__btf(self._open), _READ_ONLY)
        for name, value in values.items():
            place = places.get(name)
            if start is None or place is None or place.offset + place.size > size.value:
                raise BpfError(
                    f"{self.name} has no constant {name}", "run `make bpf`: the object is of another version"
                )
            data = value.to_bytes(place.size, sys.byteorder)
            ctypes.memmove(start + place.offset, data, place.size)

    def load(self) -> None:
        """Hand maps and programs to the kernel, which verifies them.

        Raises:
            BpfError: with the verifier's last words in ``log``.
        """
        with self._library.doing(f"loading {self.name}"):
            self._library.check(self._call.bpf_object__load(self._open) == 0)

    def attach(self) -> None:
        """Attach every program to what its section names.

        Raises:
            BpfError: one could not be; those before it stay until :meth:`close`.
        """
        program = self._call.bpf_object__next_program(self._open, None)
        while program:
            name = self._call.bpf_program__name(program).decode()
            with self._library.doing(f"attaching {name}"):
                self._links[name] = self._library.check(self._call.bpf_program__attach(program))
            program = self._call.bpf_object__next_program(self._open, program)

    def map(self, name: str) -> BpfMap:
        """A map of a loaded object.

        Raises:
            BpfError: there is no such map.
        """
        pointer = self._call.bpf_object__find_map_by_name(self._open, name.encode())
        if not pointer:
            raise BpfError(f"{self.name} has no map {name}", "run `make bpf`: the object is of another version")
        return BpfMap(self._library, pointer)

    def pin(self, folder: Path) -> None:
        """Keep every attachment in the kernel, as files below ``folder`` on a bpf file system, when this process ends.

        Raises:
            BpfError: it is no bpf file system, or a name is taken.
        """
        for name, link in self._links.items():
            with self._library.doing(f"pinning {name} in {folder}"):
                self._library.check(self._call.bpf_link__pin(link, os.fsencode(folder / name)) == 0)

    def close(self) -> None:
        """Detach what is not pinned and let go of everything; again is nothing."""
        for link in self._links.values():
            self._call.bpf_link__destroy(link)
        self._links.clear()
        if self._object is not None:
            self._call.bpf_object__close(self._object)
            self._object = None

    @property
    def _open(self) -> int:
        if self._object is None:
            raise ValueError(f"{self.name} is closed")  # libbpf would follow the null pointer
        return self._object

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
