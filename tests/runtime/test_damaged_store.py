"""A damaged store heals by itself, also where what is left of it looks as wanted: programs, from file to ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from service_world import Program, World, policy

Damage = Callable[[World], Awaitable[Program]]


async def run(world: World, *arguments: str) -> tuple[int, str]:
    """One command to its end: status and all that it printed."""
    program = world.start("gthulhu-reconcile", *arguments)
    return await program.ended(), program.log.read_text(encoding="utf-8")


async def all_copies_while_nothing_is_wanted(world: World) -> Program:
    """The agent knows nothing any more, and its empty set is the wanted one."""
    agent = await world.agent()
    status, text = await run(world, "apply", "--yes")
    assert status == 0, text
    await agent.stop()
    for copy in (world.root / "n1.state").glob("desired-*.jsonl"):
        copy.write_bytes(b"")
    world.write("policies/web.yaml", policy(app="nothing"))
    return await world.agent()


async def the_newest_copy_while_the_older_is_wanted(world: World) -> Program:
    """The agent holds the older set, and that is the wanted one."""
    agent = await world.agent()
    for priority in (5, 6):
        world.write("policies/web.yaml", policy(priority=priority))
        status, text = await run(world, "apply", "--yes")
        assert status == 0, text
    await agent.stop()
    newest = max((world.root / "n1.state").glob("desired-*.jsonl"))
    newest.write_bytes(newest.read_bytes()[:-1])
    world.write("policies/web.yaml", policy(priority=5))
    return await world.agent()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [all_copies_while_nothing_is_wanted, the_newest_copy_while_the_older_is_wanted])
@pytest.mark.parametrize("how", ["apply", "saved", "pass", "serve"])
async def test_a_damaged_store_heals_though_its_digest_is_the_wanted_one(
    world: World, damage: Damage, how: str
) -> None:
    await damage(world)
    ready = await world.ask("/v1/ready")
    assert [reason["type"] for reason in ready["reasons"] if reason["type"] != "Starting"] == ["StoreDamaged"]

    status, text = await run(world, "plan", "--detailed-exitcode", "--out", "plan.json")
    assert status == 2, text
    assert "1 node has to be sent the whole set again" in text
    assert "No changes." not in text
    assert "Plan: 0 to add, 0 to update, 0 to delete, 0 to forget on 1 of 1 node." in text

    commands = {
        "apply": (("apply", "--yes", "--detailed-exitcode"), 2),
        "saved": (("apply", "plan.json", "--yes", "--detailed-exitcode"), 2),
        "pass": (("--detailed-exitcode",), 2),
        "serve": (("serve", "--once", "--listen", "off"), 0),
    }
    arguments, expected = commands[how]
    status, text = await run(world, *arguments)
    assert status == expected, text

    assert (await world.ask("/v1/digest"))["damaged"] is False
    ready = await world.ask("/v1/ready")
    assert "StoreDamaged" not in [reason["type"] for reason in ready["reasons"]]
    status, text = await run(world, "plan", "--detailed-exitcode")
    assert (status, "No changes." in text) == (0, True)
