"""Inventories are read as Ansible reads them; what only Ansible could work out is named."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.observing.ansible.files import OURS, Reader
from gthulhu_reconcile.observing.ansible.ranges import MAX_HOSTS, expand
from gthulhu_reconcile.observing.inventory import agents
from gthulhu_reconcile.transport.agents import Agent

EXAMPLE = Path(__file__).resolve().parents[2] / "inventory"


def written(folder: Path, **files: str) -> str:
    """An inventory folder; ``__`` in a name is ``/`` and a single ``_`` before the ending is a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(".".join(path.name.rsplit("_", 1)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


def found(folder: Path, **files: str) -> tuple[Agent, ...]:
    named, diagnostics = agents([written(folder, **files)])
    assert diagnostics == ()
    return named


def wrong(folder: Path, **files: str) -> Diagnostic:
    named, diagnostics = agents([written(folder, **files)])
    assert named == ()
    assert len(diagnostics) == 1, diagnostics
    return diagnostics[0]


def test_the_example_names_one_agent_on_loopback() -> None:
    named, diagnostics = agents([str(EXAMPLE)])
    assert diagnostics == ()
    assert [(agent.node, agent.url) for agent in named] == [("", "http://127.0.0.1:18080")]


def test_a_host_is_the_node_of_its_name_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = """\
all:
  hosts:
    a.example: {ansible_host: 10.0.0.1, gthulhu_node_name: ip-10-0-0-1}
    b.example: {gthulhu_agent_port: "9000", gthulhu_node_labels: {pool: rt}}
    c: {gthulhu_agent_url: "https://c:443"}
    d: {gthulhu_agent_url: "unix:/run/agent.sock", gthulhu_secret_file: secrets/d}
    "::2": {}
"""
    named = found(tmp_path, hosts_yml=text)
    assert [(agent.node, agent.url) for agent in named] == [
        ("ip-10-0-0-1", "http://10.0.0.1:18080"),
        ("b.example", "http://b.example:9000"),
        ("c", "https://c:443"),
        ("d", "unix:/run/agent.sock"),
        ("::2", "http://[::2]:18080"),
    ]
    assert named[1].labels == {"pool": "rt"}
    assert named[3].secret_file == str(tmp_path / "secrets/d")


def test_the_group_of_agents_says_which_hosts_have_one(tmp_path: Path) -> None:
    text = """\
all:
  hosts: {bastion: }
  children:
    gthulhu_agents:
      children:
        racks:
          hosts: {n1: , n2: }
"""
    assert [agent.node for agent in found(tmp_path, hosts_yml=text)] == ["n1", "n2"]


def test_precedence_is_that_of_ansible(tmp_path: Path) -> None:
    """The ports are those that ``ansible-inventory --list`` of ansible-core 2.19 gave for these files."""
    first = """\
all:
  vars: {gthulhu_agent_port: 1000}
  hosts:
    lone:
  children:
    pool:
      vars: {gthulhu_agent_port: 2000}
      hosts:
        n[01:04]:
      children:
        inner:
          hosts: {n02: }
    zpool:
      vars: {gthulhu_agent_port: 2500}
      hosts: {n04: , n03: }
    late:
      vars: {gthulhu_agent_port: 2700, ansible_group_priority: 5}
      hosts: {n01: }
    later:
      vars: {gthulhu_agent_port: 2800}
      hosts: {n01: }
"""
    plain = found(tmp_path / "plain", a_yml=first, b_yaml="inner:\n  vars: {gthulhu_agent_port: 3000}\n")
    assert {agent.node: agent.url.rpartition(":")[2] for agent in plain} == {
        "lone": "1000",
        "n01": "2700",
        "n02": "3000",
        "n03": "2500",
        "n04": "2500",
    }
    files = found(
        tmp_path / "files",
        a_yml=first,
        b_yaml="inner:\n  vars: {gthulhu_agent_port: 3000}\n",
        group_vars__all__main_yml="gthulhu_agent_port: 1111\n",
        group_vars__zpool_yml="gthulhu_agent_port: 4444\n",
        host_vars__n03__x_yml="gthulhu_agent_port: 5555\n",
    )
    assert {agent.node: agent.url.rpartition(":")[2] for agent in files} == {
        "lone": "1111",
        "n01": "1111",
        "n02": "1111",
        "n03": "5555",
        "n04": "4444",
    }


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web", ("web",)),
        ("n[01:03]", ("n01", "n02", "n03")),
        ("n[8:11]", ("n8", "n9", "n10", "n11")),
        ("n[1:9:4].x", ("n1.x", "n5.x", "n9.x")),
        ("r[a:c]n[:1]", ("ran0", "ran1", "rbn0", "rbn1", "rcn0", "rcn1")),
        ("host:2222", ("host",)),
        ("n[1:2]:2222", ("n1", "n2")),
        ("::1", ("::1",)),
        ("[::1]:22", ("::1",)),
    ],
)
def test_a_pattern_stands_for_its_hosts(pattern: str, names: tuple[str, ...]) -> None:
    assert expand(pattern) == names


@pytest.mark.parametrize(
    "pattern", ["n[3:1]", "n[01:100]", "n[a:3]", "n[1:5:0]", "n[1-3]", "n[1:999999999]", "n[1:400]m[1:400]"]
)
def test_a_range_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expand(pattern)


@given(st.text(max_size=40))
def test_a_pattern_never_fails_in_another_way_and_never_grows_beyond_its_bound(text: str) -> None:
    try:
        names = expand(text)
    except ValueError:
        return
    assert 1 <= len(names) <= MAX_HOSTS


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        ("all: [a]\n", Code.WRONG_TYPE, (1, 6), "must be a mapping"),
        ("- a\n", Code.WRONG_TYPE, (1, 1), "not a mapping of groups"),
        ("all:\n  hosts: [a]\n", Code.WRONG_TYPE, (2, 10), "'hosts' must be a mapping"),
        ("all:\n  host: {a: }\n", Code.UNKNOWN_KEY, (2, 3), "'host'"),
        ("all:\n  hosts:\n    a[3:1]:\n", Code.BAD_FORMAT, (3, 5), "ends before it begins"),
        ("all:\n  hosts:\n    a: {gthulhu_agent_port: 0}\n", Code.OUT_OF_RANGE, (3, 29), "1 to 65535"),
        ("all:\n  hosts:\n    a: {gthulhu_agent_port: x}\n", Code.WRONG_TYPE, (3, 29), "must be a port"),
        ("all:\n  hosts:\n    a: {gthulhu_node_name: 7}\n", Code.WRONG_TYPE, (3, 28), "must be a string"),
        ("all:\n  hosts:\n    a: {gthulhu_node_labels: {x: 1}}\n", Code.WRONG_TYPE, (3, 34), "'x' must be"),
        ("all:\n  hosts:\n    a: {gthulhu_agent_url: 'ftp://a'}\n", Code.BAD_FORMAT, (3, 28), "http://"),
        ("all:\n  hosts:\n    a: {gthulhu_agent_url: 'http://a..b:1'}\n", Code.BAD_FORMAT, (3, 28), "1 to 63"),
        ("all:\n  hosts:\n    a: {ansible_host: a..b}\n", Code.BAD_FORMAT, (3, 23), "1 to 63"),
        (f"all:\n  hosts:\n    {'a' * 64}:\n", Code.BAD_FORMAT, (3, 70), "1 to 63"),
        ("all:\n  hosts:\n    a: {ansible_host: '{{ x }}'}\n", Code.NOT_SUPPORTED, (3, 23), "template"),
        ("all:\n  hosts:\n    a: {ansible_host: !vault x}\n", Code.UNSAFE_YAML, (3, 23), "!vault"),
        (
            "all:\n  hosts: {a: {gthulhu_node_name: x}, b: {gthulhu_node_name: x}}\n",
            Code.DUPLICATE_NODE,
            (2, 38),
            "'x'",
        ),
        (
            "all:\n  hosts: {a: {ansible_host: x}, b: {ansible_host: x}}\n",
            Code.DUPLICATE_NODE,
            (2, 33),
            "node 'a' already",
        ),
        ("a:\n  children:\n    b:\n      children: {a: }\n", Code.NOT_ALLOWED, (4, 18), "inside of itself"),
        ("all:\n  hosts:\n", Code.NO_AGENTS, (0, 0), "no hosts"),
        ("gthulhu_agents:\nall:\n  hosts: {a: }\n", Code.NO_AGENTS, (0, 0), "gthulhu_agents has no hosts"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, text: str, code: Code, place: tuple[int, int], message: str
) -> None:
    diagnostic = wrong(tmp_path, hosts_yml=text)
    assert diagnostic.code is code
    assert (diagnostic.span.line, diagnostic.span.column) == place
    assert message in diagnostic.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hosts_ini", "[all]\nn1\n", "INI"),
        ("hosts_yml", "[all]\nn1\n", "INI"),
        ("hosts_yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "vault"),
        ("hosts_yml", "#!/bin/sh\n", "script"),
        ("hosts_toml", "x = 1\n", ".toml"),
    ],
)
def test_what_only_ansible_reads_is_named_and_not_overlooked(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    diagnostic = wrong(tmp_path, good_yml="all: {hosts: {a: }}\n", **{name: text})
    assert diagnostic.code is Code.NOT_SUPPORTED
    assert message in diagnostic.message


def test_what_ansible_overlooks_is_overlooked(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        hosts_yml="all: {hosts: {a: }}\n",
        readme_md="#",
        hosts_bak="[x",
        sub__more_yml="all: {hosts: {b: }}\n",
    )
    (tmp_path / ".hidden").write_text("[x")
    assert [agent.node for agent in agents([folder])[0]] == ["a", "b"]


def test_a_plugin_is_warned_about(tmp_path: Path) -> None:
    named, diagnostics = agents(
        [written(tmp_path, a_yml="all: {hosts: {a: }}\n", b_yml="plugin: ansible.builtin.constructed\n")]
    )
    assert [agent.node for agent in named] == ["a"]
    assert [(one.code, one.severity) for one in diagnostics] == [(Code.NOT_SUPPORTED, Severity.WARNING)]


MISSPELT = "gthulhu_agent_ulr: 'http://127.0.0.1:18090'"


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("hosts_yml", f"all:\n  hosts:\n    n1: {{{MISSPELT}}}\n", (3, 10)),
        ("hosts_yml", f"all:\n  vars:\n    {MISSPELT}\n  hosts: {{n1: }}\n", (3, 5)),
        ("group_vars__all_yml", f"---\n{MISSPELT}\n", (2, 1)),
        ("host_vars__n1__main_yml", f"---\n{MISSPELT}\n", (2, 1)),
    ],
)
def test_a_misspelt_variable_is_warned_about_and_not_ignored(
    tmp_path: Path, name: str, text: str, place: tuple[int, int]
) -> None:
    """All that was said is that nobody answers where the agent had never been."""
    folder = written(
        tmp_path, **{"hosts_yml": "all: {hosts: {n1: {gthulhu_node_name: n1, other_url: x}}}\n", name: text}
    )
    named, (told,) = agents([folder])
    assert [agent.url for agent in named] == ["http://n1:18080"]
    assert (told.code, told.severity, told.suggestion) == (Code.UNKNOWN_KEY, Severity.WARNING, "gthulhu_agent_url")
    assert (told.span.line, told.span.column) == place


def test_a_variable_like_none_that_is_read_is_warned_about_with_those_that_are(tmp_path: Path) -> None:
    _, (told,) = agents([written(tmp_path, hosts_yml="all: {hosts: {n1: {gthulhu_zzz: 1}}}\n")])
    assert (told.severity, told.suggestion) == (Severity.WARNING, "")
    assert "gthulhu_agent_port" in told.hint


def test_the_page_has_each_variable_that_is_read_and_no_other() -> None:
    page = (EXAMPLE.parent / "docs" / "inventory.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == OURS


def test_vaulted_passwords_are_nobodys_business_here(tmp_path: Path) -> None:
    text = "all:\n  vars:\n    ansible_become_password: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n  hosts: {a: }\n"
    assert [agent.node for agent in found(tmp_path, hosts_yml=text)] == ["a"]


def test_a_vaulted_variable_file_is_warned_about(tmp_path: Path) -> None:
    folder = written(
        tmp_path, hosts_yml="all: {hosts: {a: }}\n", group_vars__all__vault_yml="$ANSIBLE_VAULT;1.1;AES256\n"
    )
    named, diagnostics = agents([folder])
    assert len(named) == 1
    assert [(one.code, one.severity) for one in diagnostics] == [(Code.NOT_SUPPORTED, Severity.WARNING)]


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    named, diagnostics = agents([str(tmp_path / "none.yml")])
    assert named == ()
    assert diagnostics[0].code is Code.UNREADABLE


def test_addresses_stand_for_agents_whose_node_is_asked_for(tmp_path: Path) -> None:
    folder = written(tmp_path, hosts_yml="all: {hosts: {a: {ansible_host: 127.0.0.9}}}\n")
    named, diagnostics = agents(["http://127.0.0.9:18080", "unix:/run/a.sock", folder])
    assert diagnostics == ()
    assert [(agent.node, agent.url) for agent in named] == [
        ("a", "http://127.0.0.9:18080"),
        ("", "unix:/run/a.sock"),
    ]


def test_a_wrong_address_is_told() -> None:
    named, diagnostics = agents(["ftp://a"])
    assert named == ()
    assert diagnostics[0].code is Code.BAD_FORMAT


def test_ten_thousand_hosts_are_read_at_once(tmp_path: Path) -> None:
    assert len(found(tmp_path, hosts_yml="all: {hosts: {'n[0001:9999]': {gthulhu_node_labels: {a: b}}}}\n")) == 9999


def chain(names: Sequence[str]) -> str:
    return "".join(f"{above}: {{children: {{{below}: }}}}\n" for above, below in pairwise(names))


@pytest.mark.parametrize("order", [1, -1], ids=["downwards", "upwards"])
def test_a_chain_of_groups_longer_than_the_stack_is_read(tmp_path: Path, order: int) -> None:
    """It was a RecursionError."""
    names = [f"g{number}" for number in range(3000)]
    lines = chain(names).splitlines(keepends=True)[::order]
    text = f"{''.join(lines)}top: {{vars: {{gthulhu_agent_port: 1}}, children: {{g0: }}}}\ng2999: {{hosts: {{a: }}}}\n"
    assert found(tmp_path, hosts_yml=text)[0].url == "http://a:1"


def test_a_diamond_of_groups_does_not_cost_twice_as_much_with_each_level(tmp_path: Path) -> None:
    """Each way through it was gone: 2 ** 40 of them would not have ended."""
    levels = [
        f"{side}{level}: {{children: {{a{level + 1}: , b{level + 1}: }}, vars: {{gthulhu_agent_port: {level + 1}}}}}\n"
        for level in range(40)
        for side in "ab"
    ]
    text = f"{''.join(levels)}a40: {{hosts: {{n: }}}}\n"
    assert found(tmp_path, hosts_yml=text)[0].url == "http://n:40"


def test_a_long_circle_of_groups_is_told(tmp_path: Path) -> None:
    text = chain([*(f"g{number}" for number in range(1500)), "g0"])
    assert "inside of itself" in wrong(tmp_path, hosts_yml=text).message


def test_groups_nested_deeper_than_any_inventory_are_told_and_no_recursion_error(tmp_path: Path) -> None:
    text = "all: " + "{children: {g: " * 2000 + "}}" * 2000
    assert wrong(tmp_path, hosts_json=text).code is Code.TOO_LARGE


@given(st.binary(max_size=120))
def test_any_bytes_are_groups_or_diagnostics_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    file.write_bytes(data)
    reader = Reader()
    reader.source(str(file))
    reader.finish()
