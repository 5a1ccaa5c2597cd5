"""docs/plan.svg, the README's picture: what the program really prints, drawn by rich. ``--check`` or ``--write``."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parent.parent
PICTURE = CHECKOUT / "docs/plan.svg"
COMMAND = [
    "plan", "--offline", "--policies", "demo/policies", "--pods", "demo/pods.yaml", "--color", "always",
]  # fmt: skip
# rich's own frame, without the web font that it would fetch from somewhere: a picture in git asks nobody.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "Fira Code", Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def draw() -> str:
    """The picture of one plan, made by running the program."""
    done = subprocess.run(
        [CHECKOUT / ".venv/bin/gthulhu-reconcile", *COMMAND],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "104"},
        capture_output=True,
        text=True,
        check=True,
    )
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ gthulhu-reconcile plan", "bold"), "\n"))
    console.print(Text.from_ansi(done.stdout.rstrip()))
    return console.export_svg(title="gthulhu-reconcile", theme=MONOKAI, code_format=SVG, unique_id="plan")


def main(mode: str) -> int:
    """Write the picture, or say whether the committed one is still what the program prints."""
    picture = draw()
    if mode == "--write":
        PICTURE.write_text(picture)
        return 0
    if not PICTURE.exists() or PICTURE.read_text() != picture:
        print(f"{PICTURE.relative_to(CHECKOUT)} is not what the program prints", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
