"""One pass over real agents: what is executed is what was planned, dry runs write nothing, nothing unread deletes."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest
from agent_harness import desired, intent
from service_world import policy
from small_fleet import Fleet

from gthulhu_reconcile.applying.planfile import load, save
from gthulhu_reconcile.errors import Held, StalePlan, UserError
from gthulhu_reconcile.model.diagnostics import Code
from gthulhu_reconcile.model.plan import Guard
from gthulhu_reconcile.runtime.connecting import ReadOnlyError, connect
from gthulhu_reconcile.runtime.reconciling import (
    Planned,
    Result,
    execute,
    execute_saved,
    make_plan,
    one_pass,
)


async def test_a_pass_brings_every_agent_to_what_was_planned_and_the_next_has_nothing_to_do(fleet: Fleet) -> None:
    seen: list[tuple[str, int, int]] = []
    first = await one_pass(fleet.settings(), progress=lambda *step: seen.append(step))
    assert first.result is Result.SUCCESS
    assert await fleet.held("n1") == [("web-1", 5)]
    assert await fleet.held("n2") == [("web-2", 5)]
    assert first.push is not None
    assert {one.node: one.digest for one in first.push.nodes} == dict(first.plan.digests)
    assert set(first.seconds) == {"load", "observe", "plan", "push"}
    assert ("observe", 2, 2) in seen
    assert ("push", 2, 2) in seen

    second = await one_pass(fleet.settings())
    assert second.result is Result.NOOP
    assert second.push is None
    assert second.plan.changes == ()


async def test_a_node_without_an_agent_is_said_but_is_no_failure(fleet: Fleet) -> None:
    outcome = await one_pass(fleet.settings())
    assert [one.node for one in outcome.plan.unreachable] == ["n3"]
    assert outcome.planned.silent == ()
    assert outcome.result is Result.SUCCESS


async def test_a_dry_run_plans_the_same_and_writes_nothing(fleet: Fleet) -> None:
    dry = await one_pass(fleet.settings(), dry_run=True)
    assert dry.push is None
    assert await fleet.held("n1") == []
    wet = await one_pass(fleet.settings())
    assert wet.plan.id == dry.plan.id
    assert wet.plan.changes == dry.plan.changes


async def test_the_client_of_a_pass_that_only_looks_raises_when_it_is_asked_to_write(fleet: Fleet) -> None:
    settings = fleet.settings(nodes=("n1",))
    planned = await make_plan(settings)
    async with connect(settings, read_only=True) as client:
        with pytest.RaisesGroup(ReadOnlyError):
            await execute(planned, settings, client=client)
    assert await fleet.held("n1") == []


async def test_the_gate_is_asked_with_the_plan_and_its_no_leaves_everything(fleet: Fleet) -> None:
    asked: list[Planned] = []

    async def no(planned: Planned) -> bool:
        asked.append(planned)
        return False

    outcome = await one_pass(fleet.settings(), gate=no)
    assert asked == [outcome.planned]
    assert outcome.push is None
    assert await fleet.held("n1") == []


async def test_offline_plans_for_the_nodes_of_pods_and_inventory_against_nothing(fleet: Fleet) -> None:
    await one_pass(fleet.settings())
    planned = await make_plan(fleet.settings(offline=True))
    assert set(planned.plan.bases) == {"n1", "n2", "n3"}
    assert planned.plan.summary.add == 3
    with pytest.raises(UserError, match="--offline cannot be applied"):
        await execute(planned, fleet.settings(offline=True))
    with pytest.raises(UserError, match="--offline cannot be applied"):
        await one_pass(fleet.settings(offline=True))


async def test_offline_needs_neither_inventory_nor_agents_but_a_pod_file(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fleet.root)
    planned = await make_plan(fleet.settings(offline=True, agents=None))
    assert planned.plan.summary.add == 3
    with pytest.raises(UserError, match="--pods FILE"):
        await make_plan(fleet.settings(offline=True, pods="local"))


async def test_labels_of_the_inventory_make_nodes_where_the_pods_have_none(fleet: Fleet) -> None:
    selector = "  selector: {matchLabels: {app: web}, nodes: {matchLabels: {pool: n2}}}\n"
    fleet.write("policies/web.yaml", policy().replace("  selector: {matchLabels: {app: web}}\n", selector))
    planned = await make_plan(fleet.settings())
    assert [change.node for change in planned.plan.changes] == ["n2"]


async def test_agents_given_by_address_say_themselves_which_node_they_are(fleet: Fleet) -> None:
    settings = fleet.settings(agents=tuple(agent.url for agent in fleet.agents.values()))
    outcome = await one_pass(settings)
    assert outcome.result is Result.SUCCESS
    assert await fleet.held("n2") == [("web-2", 5)]


async def test_only_the_nodes_that_are_named_are_asked_and_told(fleet: Fleet) -> None:
    outcome = await one_pass(fleet.settings(nodes=("n2",)))
    assert set(outcome.plan.bases) == {"n2"}
    assert await fleet.held("n1") == []
    assert await fleet.held("n2") == [("web-2", 5)]


async def test_bodies_are_read_only_where_the_digest_is_not_the_wanted_one(fleet: Fleet) -> None:
    requests: list[str] = []
    settings = fleet.settings()
    await one_pass(settings)
    async with connect(settings, observer=lambda operation, _outcome, _seconds: requests.append(operation)) as client:
        await one_pass(settings, client=client)
        assert sorted(requests) == ["digest", "digest"]
        requests.clear()
        fleet.write("policies/web.yaml", policy(priority=6))
        await make_plan(settings, client=client)
    assert sorted(requests) == ["desired", "desired", "digest", "digest"]


async def test_another_owner_is_left_alone_until_it_is_adopted(fleet: Fleet) -> None:
    await fleet.agents["n1"].put(desired(3, intent("theirs"), owner="elsewhere"))
    outcome = await one_pass(fleet.settings())
    assert outcome.result is Result.PARTIAL
    assert outcome.planned.silent == ("n1",)
    assert [name for name, _ in await fleet.held("n1")] == ["pod-uid-1"]
    assert await fleet.held("n2") == [("web-2", 5)]

    outcome = await one_pass(fleet.settings(adopt=True))
    assert outcome.result is Result.SUCCESS
    assert await fleet.held("n1") == [("web-1", 5)]


async def test_an_agent_that_does_not_answer_delays_no_other_and_loses_nothing(fleet: Fleet) -> None:
    fleet.write("dead.yaml", "all:\n  hosts:\n    n9: {gthulhu_agent_url: 'http://127.0.0.1:9'}\n")
    fleet.pods({"web-1": "n1", "web-2": "n2", "web-9": "n9"})
    settings = fleet.settings(agents=(str(fleet.root / "hosts.yaml"), str(fleet.root / "dead.yaml")))
    outcome = await one_pass(settings)
    assert outcome.result is Result.PARTIAL
    assert outcome.planned.silent == ("n9",)
    assert await fleet.held("n1") == [("web-1", 5)]

    alone = fleet.settings(agents=(str(fleet.root / "dead.yaml"),))
    assert (await one_pass(alone)).result is Result.ERROR


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("policies/web.yaml", "kind: [\n"),
        ("policies/web.yaml", "kind: Nonsense\n"),
        ("hosts.yaml", "all: {hosts: [\n"),
        ("pods.yaml", "pods:\n- {name: web-1}\n"),
        ("pods.yaml", '{"kind": "List", "items": [{"kind": "Pod", "metadata"'),
        ("pods.yaml", ""),
    ],
)
async def test_a_damaged_input_stops_the_pass_or_holds_it_and_never_deletes(fleet: Fleet, name: str, text: str) -> None:
    await one_pass(fleet.settings())
    fleet.write(name, text)
    with suppress(UserError):
        outcome = await one_pass(fleet.settings())
        assert outcome.plan.held is not None
        assert outcome.plan.held.guard is Guard.UNREADABLE_INPUT
        assert outcome.plan.changes == ()
    assert await fleet.held("n1") == [("web-1", 5)]


async def test_an_input_that_is_not_there_holds_the_plan_and_is_named(fleet: Fleet) -> None:
    await one_pass(fleet.settings())
    (fleet.root / "pods.yaml").unlink()
    outcome = await one_pass(fleet.settings())
    assert outcome.result is Result.HELD
    assert Code.UNREADABLE in {one.code for one in outcome.diagnostics}
    assert any("pods.yaml" in source for source in outcome.planned.inputs.unreadable)
    assert await fleet.held("n1") == [("web-1", 5)]


async def test_a_held_plan_is_executed_with_its_own_approval_only(fleet: Fleet) -> None:
    await one_pass(fleet.settings())
    (fleet.policies / "web.yaml").unlink()
    held = await one_pass(fleet.settings())
    assert held.result is Result.HELD
    with pytest.raises(Held):
        await execute(held.planned, fleet.settings())
    assert (await one_pass(fleet.settings(approve="000000000000"))).result is Result.HELD
    assert (await one_pass(fleet.settings(approve=held.plan.id))).result is Result.SUCCESS
    assert await fleet.held("n1") == []


async def test_policies_are_judged_at_the_given_instant(fleet: Fleet) -> None:
    active = "active: {cron: '0 8 * * *', duration: 1h, timeZone: UTC}"
    fleet.write("policies/web.yaml", policy().replace("priority: 5", f"priority: 5, {active}"))
    at = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)
    assert (await make_plan(fleet.settings(at=at))).plan.summary.add == 2
    assert (await make_plan(fleet.settings(), now=at)).plan.summary.add == 2
    assert (await make_plan(fleet.settings(at=datetime(2026, 5, 4, 9, 30, tzinfo=UTC)))).plan.summary.add == 0
    with pytest.raises(UserError, match="--at cannot be applied"):
        await one_pass(fleet.settings(at=at))


async def test_policies_come_from_standard_input_but_not_together_with_the_pods(fleet: Fleet) -> None:
    text = io.BytesIO(policy(priority=11).encode())
    planned = await make_plan(fleet.settings(policies=("-",)), stdin=text)
    assert {change.after.terms.schedule.priority for change in planned.plan.changes if change.after} == {11}
    with pytest.raises(UserError, match="cannot both come from standard input"):
        await make_plan(fleet.settings(policies=("-",), pods="-"), stdin=text)


async def test_a_saved_plan_is_executed_once_and_not_when_stale(fleet: Fleet) -> None:
    settings = fleet.settings()
    path = fleet.root / "plan.json"
    planned = await make_plan(settings)
    save(planned.plan, path)
    pushed = await execute_saved(load(path), settings, rng=Random(1))
    assert {one.node for one in pushed.nodes} == {"n1", "n2"}
    assert await fleet.held("n1") == [("web-1", 5)]
    with pytest.raises(StalePlan, match="applied before"):
        load(path)

    fleet.write("policies/web.yaml", policy(priority=6))
    save((await make_plan(settings)).plan, path)
    fleet.write("policies/web.yaml", policy(priority=7))
    await one_pass(settings)
    with pytest.raises(StalePlan, match="plan again"):
        await execute_saved(load(path), settings)
    assert await fleet.held("n1") == [("web-1", 7)]


async def test_a_saved_plan_that_is_held_is_released_by_its_own_approval(fleet: Fleet) -> None:
    await one_pass(fleet.settings())
    (fleet.policies / "web.yaml").unlink()
    path = fleet.root / "plan.json"
    planned = await make_plan(fleet.settings())
    save(planned.plan, path)
    with pytest.raises(Held):
        await execute_saved(load(path), fleet.settings())
    await execute_saved(load(path), fleet.settings(approve=planned.plan.id))
    assert await fleet.held("n1") == []
