"""Maps of a loaded object: tables, counters of every CPU, and the ring buffer that records come through."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from typing import Any

from gthulhu_agent.bpf.bindings import SampleCallback
from gthulhu_agent.bpf.libbpf import Libbpf

_STOP = -errno.ECANCELED


class BpfMap:
    """A map by its descriptor; keys and values are bytes, packed as the C struct is.

    Every method raises OSError as bpf(2) does, but for a missing key, which is no fault.
    """

    def __init__(self, library: Libbpf, pointer: int) -> None:
        call = library.call
        self._call = call
        self._pointer = pointer
        self.name: str = call.bpf_map__name(pointer).decode()
        self.fd: int = call.bpf_map__fd(pointer)
        self.key_size: int = call.bpf_map__key_size(pointer)
        self.value_size: int = call.bpf_map__value_size(pointer)
        self.max_entries: int = call.bpf_map__max_entries(pointer)

    def set(self, key: bytes, value: bytes) -> None:
        """Set the value; ENOSPC or E2BIG where the map is full."""
        self._check(self._call.bpf_map_update_elem(self.fd, self._sized(key), self._sized(value, self.value_size), 0))

    def get(self, key: bytes) -> bytes | None:
        """The value of a map that is not per CPU; None where the key is not in it."""
        value = ctypes.create_string_buffer(self.value_size)
        return value.raw if self._found(self._call.bpf_map_lookup_elem(self.fd, self._sized(key), value)) else None

    def remove(self, key: bytes) -> bool:
        """Whether it was there."""
        return self._found(self._call.bpf_map_delete_elem(self.fd, self._sized(key)))

    def __iter__(self) -> Iterator[bytes]:
        """The keys; where others write meanwhile some may come twice or not."""
        previous, key = None, ctypes.create_string_buffer(self.key_size)
        while self._found(self._call.bpf_map_get_next_key(self.fd, previous, key)):
            yield key.raw
            previous = ctypes.create_string_buffer(key.raw, self.key_size)

    def pin(self, path: str) -> None:
        """Keep the map, under a path on a bpf file system, when this process ends."""
        self._check(self._call.bpf_map__pin(self._pointer, os.fsencode(path)))

    def _sized(self, data: bytes, size: int = 0) -> bytes:
        # The kernel reads as many bytes as the map was made with, wherever the ones that were given end.
        if len(data) != (size or self.key_size):
            raise ValueError(f"map {self.name}: {len(data)} bytes instead of {size or self.key_size}")
        return data

    def _found(self, result: int) -> bool:
        if result == 0:
            return True
        if ctypes.get_errno() == errno.ENOENT:
            return False
        return self._check(result)

    @staticmethod
    def _check(result: int) -> bool:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True


class PerCpuCounters:
    """An array of 64-bit counters that every CPU has its own copy of."""

    def __init__(self, library: Libbpf, counters: BpfMap) -> None:
        self._call = library.call
        self._map = counters
        # 8 bytes a CPU that may ever come, which can be more than there are now.
        self._values: Any = (ctypes.c_uint64 * library.call.libbpf_num_possible_cpus())()

    def total(self, index: int) -> int:
        """Sum over all CPUs.

        Raises:
            OSError: as bpf(2).
        """
        key = ctypes.c_uint32(index)
        BpfMap._check(self._call.bpf_map_lookup_elem(self._map.fd, ctypes.byref(key), self._values))  # noqa: SLF001 - same module
        return sum(self._values)


class RingBuffer:
    """Reads records of one fixed size."""

    def __init__(self, library: Libbpf, ring: BpfMap, record_size: int) -> None:
        """Map the buffer.

        Raises:
            OSError: as mmap(2) and epoll_create1(2).
        """
        self._call = library.call
        self._size = record_size
        self._records: list[bytes] = []
        self._room = 0
        self._callback = SampleCallback(self._take)  # kept: libbpf holds its address alone
        self._ring: int | None = library.check(library.call.ring_buffer__new(ring.fd, self._callback, None, None))

    def fileno(self) -> int:
        """An epoll descriptor that is readable while records are there."""
        return int(self._call.ring_buffer__epoll_fd(self._open))

    def read(self, at_most: int) -> bytes:
        """Records one after another, and no more than ``at_most`` of them.

        Raises:
            OSError: as epoll_wait(2).
        """
        self._records = []
        self._room = at_most
        result = self._call.ring_buffer__consume(self._open)
        if result < 0 and result != _STOP:
            raise OSError(-result, os.strerror(-result))
        return b"".join(self._records)

    def close(self) -> None:
        """Unmap the buffer; again is nothing."""
        if self._ring is not None:
            self._call.ring_buffer__free(self._ring)
            self._ring = None

    @property
    def _open(self) -> int:
        if self._ring is None:
            raise ValueError("the ring buffer is closed")  # libbpf would follow the null pointer
        return self._ring

    def _take(self, _context: int | None, data: int, size: int) -> int:
        if size == self._size:
            self._records.append(ctypes.string_at(data, size))
        self._room -= 1
        # The record that this is said of counts as read.
        return 0 if self._room > 0 else _STOP
