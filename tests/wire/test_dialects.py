"""Numbers out of range are taken as others that are in it, and those are what is listed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_wire.dialects import Dialect, clamped, hear

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("dialect", Dialect)
@given(said=INT64 | st.integers(-25, 25))
def test_w19_what_is_listed_means_what_is_enforced_and_needs_no_note(dialect: Dialect, said: int) -> None:
    listed = clamped(dialect, said)
    heard, again = hear(dialect, said, 0), hear(dialect, listed, 0)
    assert again.schedule == heard.schedule
    assert again.notes == ()
    assert (listed == said) == (not heard.notes)
