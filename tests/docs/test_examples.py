"""What the docs show is true: every policy in them validates, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gthulhu_reconcile.loading.policies import load

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted([CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *(CHECKOUT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(yaml|json)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def _policies() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for page in PAGES:
        for kind, text in BLOCK.findall(page.read_text()):
            if "policy.gthulhu.io/v1" in text or "labelSelectors" in text:
                found.append((f"{page.name}-{len(found)}", kind, text))
    return found


@pytest.mark.parametrize(("name", "kind", "text"), _policies(), ids=[name for name, _, _ in _policies()])
def test_a_policy_in_the_docs_validates(tmp_path: Path, name: str, kind: str, text: str) -> None:
    file = tmp_path / f"{name}.{kind}"
    file.write_text(text)
    loaded = load([str(file)])
    assert loaded.diagnostics == ()
    assert loaded.policies


def test_the_docs_have_policies_at_all() -> None:
    assert len(_policies()) >= 3


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_link_in_the_docs_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        file = (page.parent / target).resolve()
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = {_anchor(line) for line in file.read_text().splitlines() if line.startswith("#")}
            assert anchor[1:] in headings, f"{page.name} links to {target}{anchor}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")
