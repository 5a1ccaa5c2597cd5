"""``--node`` that takes no node: a misspelt canary must not look like one that has converged."""

from __future__ import annotations

import pytest
from small_fleet import Fleet

from gthulhu_reconcile.cli.asking import ask_nodes
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.runtime.chosen_nodes import check_nodes
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.reconciling import make_plan, one_pass


@pytest.mark.parametrize("nodes", [("worker-1",), ("n1", "worker-*"), ("N1",)])
async def test_a_misspelt_node_looked_like_one_that_had_converged(fleet: Fleet, nodes: tuple[str, ...]) -> None:
    settings = fleet.settings(nodes=nodes)
    for passing in (make_plan, one_pass):
        with pytest.raises(UserError, match=rf"--node: .*{nodes[-1][:-1]}.* takes no node; 3 known"):
            await passing(settings)
    with pytest.raises(UserError, match="takes no node; 2 known"):
        await ask_nodes(settings, lambda *_: None)
    assert await fleet.held("n1") == []


async def test_a_node_is_known_by_its_agent_its_pods_or_the_inventory(fleet: Fleet) -> None:
    for nodes in (("n1",), ("n?",), ("*",), ("n3",)):
        assert (await one_pass(fleet.settings(nodes=nodes), dry_run=True)).result is Result.NOOP, nodes
    assert (await make_plan(fleet.settings(nodes=("n3",), offline=True))).plan.summary.add == 1
    fleet.pods({})
    await make_plan(fleet.settings(nodes=("n1",)))


async def test_a_node_whose_agent_did_not_say_its_name_may_be_the_one_that_is_meant(fleet: Fleet) -> None:
    agents = (fleet.agents["n1"].url, f"unix:{fleet.root}/gone.sock")
    with pytest.raises(UserError, match=r"3 known, .*gone\.sock did not say which node it is: no connection"):
        await make_plan(fleet.settings(agents=agents, nodes=("worker-1",)))
    found, _ = await ask_nodes(fleet.settings(agents=agents, nodes=("worker-1",)), lambda *_: None)
    assert [node.silence != "" for node in found] == [True]


def test_the_node_that_was_probably_meant_is_named() -> None:
    with pytest.raises(UserError, match=r"'worker-77' takes no node; 2 known; did you mean 'worker-7'\?"):
        check_nodes(("worker-77",), {"worker-7", "gateway"})
