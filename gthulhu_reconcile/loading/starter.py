"""The first policy that ``init`` writes: short, commented, valid, and known to editors."""

from __future__ import annotations

_STARTER = """\
# yaml-language-server: $schema={schema}
#
# How the CPU scheduler treats a workload. Check it with:   gthulhu-reconcile validate {path}
# See what it would change with:                            gthulhu-reconcile plan
apiVersion: policy.gthulhu.io/v1
kind: SchedulingPolicy
metadata:
  name: web-latency
  namespace: default        # who owns the policy; it does not narrow what is selected
spec:
  # Where several policies select a thread, the highest precedence wins; then the more specific one.
  precedence: 0

  # Which workloads. All given parts must hold.
  selector:
    namespaces: [web]       # exact or glob, as in team-*; absent takes all but the protected ones
    matchLabels: {{app: frontend}}
    # matchExpressions: [{{key: tier, operator: In, values: [edge]}}]
    # nodes: {{matchLabels: {{pool: fast}}}}
    # containers: [server]
    # command: "^(nginx|envoy)$"   # RE2, unanchored; matched against each process's name

  # How they are to run. At least one of priority, timeSlice and preempt.
  schedule:
    priority: 5             # -20 to 20; 0 is normal, higher is stronger, a step is a factor of 1.25
    timeSlice: 3ms          # 100us to 100ms; shorter is more responsive
    # preempt: true         # a waking thread takes the CPU at once
    # active: {{cron: "0 8 * * 1-5", duration: 10h, timeZone: Europe/Berlin}}

  # What becomes of the running threads when this document goes away: revert, or orphan.
  onDelete: revert
"""


def starter_policy(*, schema: str, path: str) -> str:
    """Text of a first policy.

    Args:
        schema: path or URL of the draft-7 schema, for the editor's line.
        path: where the policy will be written, for the command in its comment.
    """
    return _STARTER.format(schema=schema, path=path)
