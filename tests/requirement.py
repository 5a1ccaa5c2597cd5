"""A part of the machine that a test needs and does not find."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("GTHULHU_REQUIRE_ALL") == "1"


def missing(why: str) -> NoReturn:
    """Skip loudly; under GTHULHU_REQUIRE_ALL=1, as in CI, fail."""
    if REQUIRE_ALL:
        pytest.fail(why)
    pytest.skip(why)
