"""Whether the nodes that were chosen exist: a misspelt one must not look like a node where nothing is to be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.source import printable, shown
from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_wire.globs import any_matches


def check_nodes(patterns: Sequence[str], known: Collection[str], nameless: Sequence[Unreachable] = ()) -> None:
    """Check that each of ``patterns`` (exact or glob) takes one of the ``known`` nodes.

    ``nameless`` are agents that did not say which node they are: the one that is meant may be among them.

    Raises:
        UserError: one takes none.
    """
    for pattern in patterns:
        if any(any_matches((pattern,), node) for node in known):
            continue
        if nameless:
            first = nameless[0]
            raise UserError(
                f"--node: {shown(pattern)} takes no node; {len(known)} known, and "
                f"{printable(first.node)} did not say which node it is: {printable(first.reason)}"
            )
        near = resembling(pattern, sorted(known))
        asked = f"; did you mean {shown(near)}?" if near else ""
        raise UserError(f"--node: {shown(pattern)} takes no node; {len(known)} known{asked}")
