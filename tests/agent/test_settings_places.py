"""Every key of a settings file is told with its line and column, however it is written, whatever looks like it."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.settingsfile import read

NAMES = st.sampled_from(["a", "b", "host", "key", "key_pem", "x-y", "1"])
DECOYS = st.sampled_from(
    ["", "# {0} = 1\n", '"""\n{0} = 1\n[{0}]\n"""', "'{0} = {0}'", '["{0}", "a", {{ {0} = 1 }}]', '"#{0}"']
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, tuple[int, int]]]:
    """A file, and where each of its keys is."""
    text, places = "", {}
    for section in ["", *draw(st.lists(NAMES, unique=True, max_size=3))]:
        if section:
            text += f"{draw(st.sampled_from(['', '  ']))}[{section}]\n"
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            decoy = draw(DECOYS).format(draw(NAMES))
            if decoy.startswith("# "):
                text, decoy = text + decoy, "1"
            text += draw(st.sampled_from(["", " ", "\t"]))
            quote = draw(st.sampled_from(["", '"', "'"]))
            place = (text.count("\n") + 1, len(text) - text.rfind("\n") + len(quote))
            text += f"{quote}{name}{quote}{draw(st.sampled_from([' ', '']))}= {decoy or 1}\n"
            places[f"{section}.{name}" if section else name] = place
    return text, places


def entries(text: str) -> dict[str, tuple[int, int]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "f.toml"
        file.write_text(text)
        sections = [key for key, value in tomllib.loads(text).items() if isinstance(value, dict)]
        found = {}
        for entry in read(file, sections):
            line, column = entry.where.removeprefix(f"{file}:").split(":")
            found[entry.key] = (int(line), int(column))
        return found


@given(files())
def test_each_key_is_where_it_is_written(file: tuple[str, dict[str, tuple[int, int]]]) -> None:
    text, places = file
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a key at the top has the name of a section
    assert entries(text) == places


def test_a_key_of_a_section_is_not_taken_for_one_of_its_namesakes() -> None:
    text = '# host\nhost = 1\n[a]\nhost = 2\n[b]\nx = "host"\nhost = 3\n'
    assert entries(text) == {"host": (2, 1), "a.host": (4, 1), "b.x": (6, 1), "b.host": (7, 1)}


def test_dotted_and_inline_keys_have_their_own_columns() -> None:
    assert entries('a.host = 1\nb = { x = 1, "host" = 2 }\n') == {"a.host": (1, 3), "b.x": (2, 7), "b.host": (2, 15)}


def test_a_key_among_very_many_namesakes_is_told_without_its_place_rather_than_slowly(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("# key\n" * 30_000 + "key = 1\n")
    assert [entry.where for entry in read(file)] == [str(file)]
