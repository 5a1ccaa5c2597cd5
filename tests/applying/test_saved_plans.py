"""Saved plans: as they were looked at, once, and only while they fit."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from agent_harness import desired, intent
from fleet import OWNER, fleet, planned
from hypothesis import given, settings
from hypothesis import strategies as st

from gthulhu_reconcile.applying import planfile
from gthulhu_reconcile.applying.outcomes import Outcome
from gthulhu_reconcile.applying.planfile import SavedPlan, load, load_for_show, mark_used, save
from gthulhu_reconcile.applying.saved import push_saved
from gthulhu_reconcile.errors import GthulhuError, StalePlan, UserError
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff
from gthulhu_wire.intents import digest

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


def base(plan: Plan, node: str, *, owner: str = OWNER, generation: int = 4) -> Accepted:
    return Accepted(node, owner, 2, generation, plan.digests[node], plan.desired[node])


def changing() -> Plan:
    """Adds on n1, updates on n2, deletes nothing, nothing to do on n3, takes n4 over."""
    before = planned(["n2", "n3", "n4"], priority=3)
    wanted = planned(["n3"])
    accepted = {
        "n1": Accepted("n1"),
        "n2": base(before, "n2"),
        "n3": base(wanted, "n3"),
        "n4": base(before, "n4", owner="other"),
    }
    return planned(accepted, adopt=True)


def test_a_plan_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    plan = changing()
    assert plan.changed_nodes == ("n1", "n2", "n4")
    save(plan, tmp_path / "plan.json", now=NOW)
    saved = load(tmp_path / "plan.json")
    again = saved.plan
    assert (saved.created, saved.used, saved.warnings) == (NOW, False, ())
    for name in ("id", "summary", "changes", "digests", "unreachable", "ties", "held", "adopted", "changed_nodes"):
        assert getattr(again, name) == getattr(plan, name), name
    for node in plan.changed_nodes:
        assert again.desired[node] == plan.desired[node]
    for node, held in plan.bases.items():
        kept = again.bases[node]
        assert (kept.owner, kept.token, kept.generation, kept.digest) == (
            held.owner,
            held.token,
            held.generation,
            held.digest,
        )


def test_the_file_has_the_public_form_for_other_programs(tmp_path: Path) -> None:
    save(changing(), tmp_path / "plan.json", now=NOW)
    document = json.loads((tmp_path / "plan.json").read_text())
    assert (document["state"], document["formatVersion"], document["created"]) == (
        "fresh",
        "1.0",
        "2026-01-31T08:00:00+00:00",
    )
    assert document["plan"]["summary"]["update"] == 2


async def test_a_saved_plan_is_applied_once(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1", "n2") as (_, agents), AgentClient() as client:
        save(planned(["n1", "n2"]), file)
        saved = load(file)
        result = await push_saved(saved, agents, client, owner=OWNER, rng=Random(1))
        assert result.failed == ()
        with pytest.raises(StalePlan, match="applied before"):
            load(file)
        assert load_for_show(file).used
        # Read before the first use, or a copy of the file: the agents themselves have moved on.
        with pytest.raises(StalePlan, match="stale"):
            await push_saved(saved, agents, client, owner=OWNER, rng=Random(1))


async def test_a_stale_plan_is_sent_to_no_node_and_not_spent(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1", "n2") as (harnesses, agents), AgentClient() as client:
        save(planned(["n1", "n2"]), file)
        await harnesses["n2"].put(desired(1, intent()))
        with pytest.raises(StalePlan, match=r"n2: it holds generation 1 of 'main'"):
            await push_saved(load(file), agents, client, owner=OWNER, rng=Random(1))
        assert (await harnesses["n1"].get("/v1/digest"))[1]["generation"] == 0
    assert not load(file).used


async def test_a_plan_that_no_node_was_sent_was_spent(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1") as (_, agents), AgentClient() as client:
        save(planned(["n1"]), file)
        nobody = (Agent("n1", "http://127.0.0.1:1"),)
        for unable in ((), nobody):
            result = await push_saved(load(file), unable, client, owner=OWNER, rng=Random(1), backoff=Backoff(tries=1))
            assert {outcome.outcome for outcome in result.nodes} == {Outcome.UNREACHABLE}
            assert not load(file).used
        assert (await push_saved(load(file), agents, client, owner=OWNER, rng=Random(1))).failed == ()
    assert load_for_show(file).used


async def test_a_plan_that_another_owner_holds_everywhere_was_spent(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1") as (harnesses, agents), AgentClient() as client:
        held = desired(1, intent())
        await harnesses["n1"].put(held)
        save(planned({"n1": Accepted("n1", OWNER, held.token, 1, digest(held.intents), held.intents)}), file)
        result = await push_saved(load(file), agents, client, owner="renamed", rng=Random(1))
        assert [outcome.outcome for outcome in result.nodes] == [Outcome.FOREIGN]
    assert not load(file).used


async def test_a_plan_that_cannot_be_marked_is_sent_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1", "n2") as (harnesses, agents), AgentClient() as client:
        save(planned(["n1", "n2"]), file)
        saved = load(file)
        mark_used(saved)
        with pytest.raises(StalePlan, match="applied before"):
            await push_saved(saved, agents, client, owner=OWNER, rng=Random(1))
        for harness in harnesses.values():
            assert (await harness.get("/v1/digest"))[1]["generation"] == 0


async def test_of_two_who_apply_one_plan_at_once_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    # Each thread opens the file anew, so the lock is between them as it is between processes.
    won = await asyncio.gather(*(asyncio.to_thread(spend, file) for _ in range(8)))
    assert sum(won) == 1
    assert load_for_show(file).used


def spend(path: Path) -> bool:
    """Whether this was the call that spent the plan."""
    saved = load_for_show(path)
    with suppress(StalePlan):
        mark_used(saved)
        return True
    return False


def test_a_plan_that_cannot_be_marked_is_not_applied(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    saved = load(file)
    file.unlink()
    with pytest.raises(UserError, match="cannot be marked as used"):
        mark_used(saved)


def test_a_plan_that_was_replaced_meanwhile_is_not_applied(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    saved = load(file)
    save(planned(["n1"], priority=9), file)
    with pytest.raises(StalePlan, match="replaced"):
        mark_used(saved)
    assert not load(file).used


def test_an_edited_plan_is_shown_with_a_warning_and_not_applied(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    file.write_bytes(file.read_bytes().replace(b'"line":3', b'"line":4'))
    assert "checksum" in load_for_show(file).warnings[0]
    with pytest.raises(UserError, match="checksum"):
        load(file)


def test_a_plan_that_another_program_rewrote_is_shown_and_not_applied(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2))
    shown = load_for_show(file)
    assert shown.plan.changed_nodes == ("n1",)
    with pytest.raises(UserError, match="another program"):
        load(file)
    with pytest.raises(StalePlan):
        mark_used(shown)


def test_a_key_that_a_later_program_added_to_the_plan_is_ignored(tmp_path: Path) -> None:
    """One more in the summary was refused as damage, though keys may be added within a format version."""
    plan = changing()
    save(plan, tmp_path / "plan.json")
    document = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "later.json").write_text(json.dumps(added(document)))
    again = load_for_show(tmp_path / "later.json").plan
    assert (again.id, again.summary, again.changes) == (plan.id, plan.summary, plan.changes)


def added(document: dict[str, Any]) -> dict[str, Any]:
    """``document`` with a new key wherever the plan has objects with fixed keys."""
    plan = {**document["plan"], "later": 1}
    plan["summary"] = {**plan["summary"], "later": 1}
    plan["changes"] = [{**row, "later": 1, "policy": {**row["policy"], "later": 1}} for row in plan["changes"]]
    return {**document, "plan": plan, "later": 1}


def test_a_set_that_is_not_what_the_digest_says_is_no_plan(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    document = json.loads(file.read_text())
    document["desired"]["n1"][0]["terms"]["schedule"]["priority"] = 20
    file.write_text(json.dumps(document))
    with pytest.raises(UserError, match="digest"):
        load_for_show(file)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_plan_is_never_applied_and_never_an_unknown_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    save(planned(["n1"]), file, now=NOW)
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=2)) + whole[at + data.draw(st.integers(0, 30)) :]
    file.write_bytes(damaged)
    with suppress(GthulhuError):
        load_for_show(file)
    if damaged != whole:
        with pytest.raises(GthulhuError):
            mark_used(load(file))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b'{"formatVersion": "9.0"}'])
def test_what_is_no_plan_is_said(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(content)
    for read in (load, load_for_show):
        with pytest.raises(UserError, match=r"plan\.json"):
            read(file)


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        save(planned(["n1"]), tmp_path / "none" / "plan.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="no regular file"):
        save(planned(["n1"]), tmp_path / "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_plan_over_its_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planfile, "MAX_BYTES", 500)
    with pytest.raises(UserError, match="--node"):
        save(planned(["n1"]), tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []


def test_what_is_sent_is_what_was_saved(tmp_path: Path) -> None:
    plan = planned(["n1"], pods=50)
    save(plan, tmp_path / "plan.json")
    saved: SavedPlan = load(tmp_path / "plan.json")
    assert digest(saved.plan.desired["n1"]) == plan.digests["n1"]


@pytest.mark.parametrize("other", ["kind: SchedulingPolicy\n", '{"state":"fresh"}', '{"state":"fresh","checksum":"'])
def test_saving_overwrote_a_policy_file_that_was_named_by_mistake(tmp_path: Path, other: str) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(other)
    with pytest.raises(UserError, match="something else than a saved plan"):
        save(planned(["n1"]), file)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(UserError, match="something else than a saved plan"):
        save(planned(["n1"]), tmp_path / "link")
    assert file.read_text() == other
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "web.yaml"]


def test_saving_replaced_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "null", "folder"):
        with pytest.raises(UserError, match="no regular file"):
            save(planned(["n1"]), tmp_path / name)
    assert (tmp_path / "fifo").is_fifo()
    assert (tmp_path / "null").readlink() == Path("/dev/null")
    assert (tmp_path / "folder").is_dir()


def test_saving_replaced_links_instead_of_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("plan.json")
    with pytest.raises(UserError, match="a link to what is not there"):
        save(planned(["n1"]), tmp_path / "current")
    (tmp_path / "plan.json").touch()
    save(planned(["n1"]), tmp_path / "current")
    save(planned(["n1"], priority=9), tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert load(tmp_path / "plan.json").plan.id == planned(["n1"], priority=9).id


async def test_a_store_that_was_damaged_since_the_plan_was_made_makes_it_stale(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    async with fleet(tmp_path, "n1") as (harnesses, _):
        await harnesses["n1"].put(desired(1, intent("old"), owner=OWNER))
        await harnesses["n1"].put(desired(2, intent("new"), owner=OWNER))
        _, head = await harnesses["n1"].get("/v1/digest")
    save(planned({"n1": Accepted("n1", OWNER, 0, 2, head["digest"], (intent("new"),))}), file)
    newest = max((tmp_path / "n1" / "state").glob("desired-*.jsonl"))
    newest.write_bytes(newest.read_bytes()[:-1])
    async with fleet(tmp_path, "n1") as (_, agents), AgentClient() as client:
        with pytest.raises(StalePlan, match="was whole when the plan was made and is damaged now"):
            await push_saved(load(file), agents, client, owner=OWNER, rng=Random(1))
