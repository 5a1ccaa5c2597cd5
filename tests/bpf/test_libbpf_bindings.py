"""What ctypes is told of libbpf against libbpf's own headers, and libraries that will not do."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from requirement import missing

from gthulhu_agent.bpf.bindings import SIGNATURES
from gthulhu_agent.bpf.libbpf import OLDEST, Libbpf
from gthulhu_agent.errors import BpfError

SCALARS = {
    "void": None,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "__u32": ctypes.c_uint32,
    "__s32": ctypes.c_int32,
    "__u64": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
}
HEADERS = "#include <bpf/libbpf.h>\n#include <bpf/bpf.h>\n#include <bpf/btf.h>\n"


@pytest.fixture(scope="module")
def prototypes() -> dict[str, str]:
    """C types of every function in libbpf's headers, as clang reads them."""
    clang = next((found for name in ("clang-19", "clang") if (found := shutil.which(name))), None)
    if clang is None or not Path("/usr/include/bpf/libbpf.h").exists():
        missing("clang and libbpf-dev are not here: make bpf")
    tree: dict[str, Any] = json.loads(
        subprocess.run(
            [clang, "-fsyntax-only", "-Xclang", "-ast-dump=json", "-I", f"/usr/include/{_multiarch()}", "-x", "c", "-"],
            input=HEADERS.encode(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return {node["name"]: node["type"]["qualType"] for node in tree["inner"] if node["kind"] == "FunctionDecl"}


def _multiarch() -> str:
    return subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_signature_is_that_of_the_header(name: str, prototypes: dict[str, str]) -> None:
    result, arguments = SIGNATURES[name]
    found = re.fullmatch(r"(.*?)\((.*)\)", prototypes[name])
    assert found
    assert same(result, found[1].strip())
    theirs = [] if found[2] == "void" else found[2].split(", ")
    assert len(arguments) == len(theirs)
    for mine, other in zip(arguments, theirs, strict=True):
        assert same(mine, other.strip()), (mine, other)


def same(mine: Any, theirs: str) -> bool:  # noqa: ANN401 - a ctypes type or None
    """Whether a value of the C type passes whole through the ctypes type."""
    plain = theirs.replace("const ", "")
    if plain.endswith(("_fn", "_fn_t")):
        # Callbacks go in as such and come out, where libbpf gives back the former one, as an address.
        return mine is ctypes.c_void_p or issubclass(mine, ctypes._CFuncPtr)  # type: ignore[attr-defined] # not in typeshed
    if plain == "char *":
        return mine is ctypes.c_char_p
    if plain == "size_t *":
        return bool(mine is ctypes.POINTER(ctypes.c_size_t))
    if plain.endswith("*"):
        return mine is ctypes.c_void_p
    return mine is SCALARS[plain]


def test_this_machine_has_one_that_will_do() -> None:
    try:
        library = Libbpf()
    except BpfError as error:
        missing(f"{error}: make bpf")
    assert library.version >= OLDEST


def test_a_library_that_is_not_there_is_told_with_its_cure() -> None:
    with pytest.raises(BpfError, match=r"libnowhere\.so\.1 cannot be loaded") as told:
        Libbpf("libnowhere.so.1")
    assert "libbpf1" in told.value.cure


def test_a_library_without_a_function_is_too_old() -> None:
    with pytest.raises(BpfError, match=r"too old: .*libbpf_major_version"):
        Libbpf("libc.so.6")


def test_both_versions_are_told_where_a_newer_one_is_needed() -> None:
    try:
        library = Libbpf()
    except BpfError as error:
        missing(f"{error}: make bpf")
    with pytest.raises(BpfError, match=r"the scheduler: needs libbpf 99\.4\.6 or newer, here is \d+\.\d+"):
        library.require((99, 4, 6), "the scheduler")
