"""Settings that only make sense for one command are refused by the service, before anything is served."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.runtime.files import watched
from gthulhu_reconcile.runtime.service import check_servable, serve
from gthulhu_reconcile.runtime.settings import load_settings


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"policies": ("-",)}, "standard input can be read once"),
        ({"pods": "-"}, "standard input can be read once"),
        ({"offline": True}, "--offline asks none"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, "--at is for looking"),
    ],
)
def test_what_cannot_be_served_is_said(overrides: dict[str, object], words: str) -> None:
    settings, _ = load_settings(None, {}, overrides)
    with pytest.raises(UserError, match=words):
        check_servable(settings)


async def test_wrong_settings_are_refused_with_their_diagnostics() -> None:
    with pytest.raises(UserError, match="GTHULHU_SERVE_JITTER") as caught:
        await serve(lambda: load_settings(None, {"GTHULHU_SERVE_JITTER": "9"}, {}))
    assert len(caught.value.diagnostics) == 1


def test_what_is_watched_are_files_and_neither_addresses_nor_the_word_local() -> None:
    overrides: dict[str, object] = {"agents": ("http://127.0.0.1:1", "hosts.yaml"), "secretFile": "secret"}
    settings, _ = load_settings(None, {}, overrides)
    assert watched(settings, Path("gthulhu.yaml")) == {
        "policies": (Path("policies"),),
        "pods": (),
        "inventory": (Path("hosts.yaml"),),
        "settings": (Path("gthulhu.yaml"), Path("secret")),
    }
