"""A test file: policies, the pods that they meet, and which policy is to win where.

``python -m gthulhu_reconcile.cli.policytests.documents`` writes the schemas; with ``--check`` it fails where the
committed ones are not what the models give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, TypeAdapter, model_validator

from gthulhu_reconcile.loading.schemas import Draft, generate, schema_directory
from gthulhu_reconcile.model.documents import ContainerName, Duration, Instant, Part, Priority, Text

NONE = "none"
PATTERN_SAID = {"patternErrorMessage": "NAME or NAMESPACE/NAME, with lower-case letters, digits, '-' and '.'"}
POLICY_NAME = r"^([a-z0-9-]+/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
POD_GLOB = r"^[a-z0-9*?-]+/[a-z0-9.*?-]+$"
SCHEMAS: dict[Draft, str] = {"2020-12": "policy-test-v1.json", "7": "policy-test-v1.draft-7.json"}

PolicyName = Annotated[Text, Field(max_length=317, pattern=POLICY_NAME, json_schema_extra=PATTERN_SAID)]
PodGlob = Annotated[
    Text,
    Field(
        max_length=317,
        pattern=POD_GLOB,
        json_schema_extra={"patternErrorMessage": "NAMESPACE/NAME, with '*' and '?' as wildcards"},
    ),
]
FilePath = Annotated[Text, Field(min_length=1, max_length=4096)]


class ExpectedSchedule(Part):
    """What the winner asks for; only the keys that are given are compared."""

    priority: Priority | None = Field(default=None, description="-20 to 20.")
    time_slice: Duration | None = Field(default=None, description="With a unit, as in 5ms.")
    preempt: StrictBool | None = Field(default=None, description="Whether a waking thread takes the CPU at once.")


class Expectation(Part):
    """Which policy is to win on some pods, or on a node's own processes."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["pod"]}, {"required": ["node"]}]})

    pod: PodGlob | None = Field(
        default=None,
        description="NAMESPACE/NAME of pods, exact or glob; it must match one at least, and holds for all.",
    )
    node: Annotated[Text, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="Name of nodes, exact or glob, whose own processes are meant, outside of pods."
    )
    command: Annotated[Text, Field(min_length=1, max_length=4096)] | None = Field(
        default=None,
        description="Name of a thread: who wins on it, where policies name commands. Absent is the first in rank.",
    )
    container: ContainerName | None = Field(
        default=None, description="Name of a container: who wins in it, where policies name containers."
    )
    winner: PolicyName = Field(
        description="NAME or NAMESPACE/NAME of the policy that wins, or none where the kernel's defaults stay."
    )
    ranked: Annotated[tuple[PolicyName, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="All policies that are sent for the pod, strongest first."
    )
    schedule: ExpectedSchedule | None = Field(default=None, description="What the winner asks for.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.pod is None and self.node is None:
            raise ValueError("needs pod or node")
        return self


class CaseDocument(Part):
    """Some expectations at one instant."""

    name: Annotated[Text, Field(min_length=1, max_length=256)] = Field(description="What the case shows, in words.")
    at: Instant | None = Field(default=None, description="Instant (RFC 3339) in place of the file's.")
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1, max_length=10_000)] = Field(
        description="What is to hold, all of it."
    )


class PolicyTestDocument(Part):
    """Unit tests of policies. Paths start from the directory of the file."""

    model_config = ConfigDict(title="Policy tests of gthulhu-reconcile")

    api_version: Literal["policy.gthulhu.io/v1"] = Field(description="Always policy.gthulhu.io/v1.")
    kind: Literal["PolicyTest"] = Field(description="PolicyTest: unit tests of policies.")
    policies: Annotated[tuple[FilePath, ...], Field(min_length=1, max_length=256)] = Field(
        description="Files and directories of the policies under test. Every one of them has to be exercised."
    )
    pods: FilePath = Field(description="File of pods and nodes: what --pods takes, as the snapshot in YAML.")
    at: Instant | None = Field(
        default=None,
        description="Instant (RFC 3339) at which time windows are judged; needed where a policy has one.",
    )
    cases: Annotated[tuple[CaseDocument, ...], Field(min_length=1, max_length=10_000)] = Field(description="The tests.")


def schemas() -> Iterator[tuple[Path, str]]:
    """The schema files and their text."""
    models: TypeAdapter[Any] = TypeAdapter(PolicyTestDocument)
    for draft, name in SCHEMAS.items():
        body = generate(models, title="Policy tests of gthulhu-reconcile", draft=draft)
        yield schema_directory() / name, json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the schemas, or with ``--check`` say which are out of date."""
    stale = [(path, text) for path, text in schemas() if not path.is_file() or path.read_text("utf-8") != text]
    for path, text in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path.name} is not what the models give\n")
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
