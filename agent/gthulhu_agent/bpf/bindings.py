"""The part of libbpf's C interface that is used, as ctypes sees it.

ctypes believes what it is told, and a pointer that it takes for an int loses its upper half: a test compares every line
with the prototypes in libbpf's own headers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, Final

POINTER: Final = ctypes.c_void_p
INT: Final = ctypes.c_int
U32: Final = ctypes.c_uint32
U64: Final = ctypes.c_uint64
SIZE: Final = ctypes.c_size_t
TEXT: Final = ctypes.c_char_p

PrintCallback = ctypes.CFUNCTYPE(INT, INT, POINTER, POINTER)
"""``libbpf_print_fn_t``: level, format, va_list. Only to be passed on to vsnprintf."""
SampleCallback = ctypes.CFUNCTYPE(INT, POINTER, POINTER, SIZE)
"""``ring_buffer_sample_fn``: context, data, size."""

SIGNATURES: Final[Mapping[str, tuple[Any, tuple[Any, ...]]]] = {
    "libbpf_major_version": (U32, ()),
    "libbpf_minor_version": (U32, ()),
    "libbpf_num_possible_cpus": (INT, ()),
    "libbpf_strerror": (INT, (INT, TEXT, SIZE)),
    "libbpf_set_print": (POINTER, (PrintCallback,)),
    "bpf_object__open_file": (POINTER, (TEXT, POINTER)),
    "bpf_object__load": (INT, (POINTER,)),
    "bpf_object__close": (None, (POINTER,)),
    "bpf_object__btf": (POINTER, (POINTER,)),
    "bpf_object__find_map_by_name": (POINTER, (POINTER, TEXT)),
    "bpf_object__next_program": (POINTER, (POINTER, POINTER)),
    "bpf_program__name": (TEXT, (POINTER,)),
    "bpf_program__attach": (POINTER, (POINTER,)),
    "bpf_link__destroy": (INT, (POINTER,)),
    "bpf_link__pin": (INT, (POINTER, TEXT)),
    "bpf_map__name": (TEXT, (POINTER,)),
    "bpf_map__fd": (INT, (POINTER,)),
    "bpf_map__key_size": (U32, (POINTER,)),
    "bpf_map__value_size": (U32, (POINTER,)),
    "bpf_map__max_entries": (U32, (POINTER,)),
    "bpf_map__initial_value": (POINTER, (POINTER, ctypes.POINTER(SIZE))),
    "bpf_map__pin": (INT, (POINTER, TEXT)),
    "bpf_map_update_elem": (INT, (INT, POINTER, POINTER, U64)),
    "bpf_map_lookup_elem": (INT, (INT, POINTER, POINTER)),
    "bpf_map_delete_elem": (INT, (INT, POINTER)),
    "bpf_map_get_next_key": (INT, (INT, POINTER, POINTER)),
    "ring_buffer__new": (POINTER, (INT, SampleCallback, POINTER, POINTER)),
    "ring_buffer__free": (None, (POINTER,)),
    "ring_buffer__consume": (INT, (POINTER,)),
    "ring_buffer__epoll_fd": (INT, (POINTER,)),
    "btf__find_by_name_kind": (ctypes.c_int32, (POINTER, TEXT, U32)),
    "btf__type_by_id": (POINTER, (POINTER, U32)),
    "btf__name_by_offset": (TEXT, (POINTER, U32)),
}


def declare(library: ctypes.CDLL) -> None:
    """Give every function of :data:`SIGNATURES` its types.

    Raises:
        AttributeError: the library lacks one of them.
    """
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
