"""docs/plan.svg, the README's picture: a plan against two real agents, as the program prints it, drawn by rich.

``--check`` says whether the committed picture is still what the program prints; without it, the picture is written.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAMS = CHECKOUT / ".venv/bin"
PICTURE = CHECKOUT / "docs/plan.svg"
NODES = ("worker-01", "worker-02")
WIDTH = 100
# rich's own frame, without the web font that it would fetch from somewhere: a picture in git asks nobody.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "Fira Code", Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; white-space: pre; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">{matrix}</g>
</g>
</svg>
"""


def draw() -> str:
    """The picture of one plan, made by running both programs."""
    with tempfile.TemporaryDirectory() as name, agents(Path(name)):
        folder = Path(name)
        shutil.copy(CHECKOUT / "demo/pods.yaml", folder)
        shutil.copytree(CHECKOUT / "demo/before", folder / "policies")
        _reconcile(folder, "apply", "--yes")
        shutil.copytree(CHECKOUT / "demo/policies", folder / "policies", dirs_exist_ok=True)
        printed = _reconcile(folder, "plan", "--color", "always")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ gthulhu-reconcile plan", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    return console.export_svg(title="gthulhu-reconcile", theme=MONOKAI, code_format=SVG, unique_id="plan")


@contextlib.contextmanager
def agents(folder: Path) -> Iterator[None]:
    """Two agents that only measure, on Unix sockets in ``folder``, and the inventory that names them."""
    hosts = "".join(f"    {node}: {{gthulhu_agent_url: 'unix:{folder}/{node}.sock'}}\n" for node in NODES)
    (folder / "inventory").mkdir()
    (folder / "inventory/hosts.yaml").write_text(f"all:\n  hosts:\n{hosts}")
    with contextlib.ExitStack() as stack:
        for node in NODES:
            command = [PROGRAMS / "gthulhu-agent", "serve", "--enforcer", "none", "--node", node]
            command += ["--listen", f"unix:{folder}/{node}.sock", "--state-dir", folder / node]  # type: ignore[list-item]  # Popen takes both
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for node in NODES:
            _wait_for(folder / f"{node}.sock")
        yield


def _wait_for(socket: Path) -> None:
    for _ in range(200):
        if socket.exists():
            return
        time.sleep(0.1)
    raise SystemExit(f"picture: no agent on {socket}")


def _reconcile(folder: Path, *arguments: str) -> str:
    command = [PROGRAMS / "gthulhu-reconcile", *arguments, "--pods", "pods.yaml", "--owner", "picture"]
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"picture: {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Write the picture, or with ``--check`` say whether the committed one is still what the program prints."""
    picture = draw()
    if arguments != ["--check"]:
        PICTURE.write_text(picture)
        return 0
    if not PICTURE.exists() or PICTURE.read_text() != picture:
        print(f"{PICTURE.relative_to(CHECKOUT)} is not what the program prints", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
