"""The kernel's no, as data: what it would not take, why, and what to do about it."""

from __future__ import annotations

import errno

from gthulhu_agent.enforcing.protocol import Refused

_THREAD_CURES = {
    errno.EPERM: "give the agent CAP_SYS_NICE; only threads of its own user take a slice without",
    errno.EACCES: "give the agent CAP_SYS_NICE",
    errno.EINVAL: "the thread's policy has changed meanwhile; the next scan looks again",
    errno.ENOSYS: "this architecture or a seccomp filter keeps sched_setattr away; run the agent without it",
}
_WEIGHT_CURES = {
    errno.EROFS: "mount the host's cgroup file system read-write into the agent",
    errno.EACCES: "run the agent as root, or delegate the cgroup to its user",
    errno.EPERM: "run the agent as root, or delegate the cgroup to its user",
    errno.EINVAL: "cpu.idle may be 1 for this cgroup; its owner has to clear it",
    errno.ENODEV: "the cgroup is being removed; the next scan looks again",
}


def refused_thread(what: str, error: OSError) -> Refused:
    """What a thread's slice or nice came to."""
    return Refused(what, _why(error), _THREAD_CURES.get(error.errno or 0, ""))


def refused_weight(cgroup: str, error: OSError) -> Refused:
    """What a cgroup's weight came to."""
    return Refused("weight", f"{cgroup}: {_why(error)}", _WEIGHT_CURES.get(error.errno or 0, ""))


def not_remembered(what: str, error: OSError) -> Refused:
    """Nothing is changed that could not be put back after a crash."""
    return Refused(
        what, f"its present value cannot be remembered: {error.strerror}", "make room in the state directory"
    )


def not_kept(what: str, wanted: int, found: int) -> Refused:
    """The kernel took a value and says another."""
    return Refused(what, f"wrote {wanted}, but the kernel reads back {found}", "see who else sets it")


def contended(cgroup: str) -> Refused:
    """An owner who answers every write of ours is left the last word."""
    return Refused(
        "weight",
        f"{cgroup}: somebody else keeps writing it, so it is left to them for some minutes",
        "see who else sets it: another agent, an operator, a script",
    )


NO_CUSTOM_SLICE = Refused(
    "slice", "this kernel keeps no slice per thread; weight and nice are what remains", "Linux 6.12 or newer"
)
NO_WAY_BACK = Refused(
    "nice", "a nice value could be raised here but not put back", "give the agent CAP_SYS_NICE, or raise RLIMIT_NICE"
)
NICE_ONLY = Refused(
    "weight",
    "no cgroup holds these threads and nothing else; nice ranks them inside of theirs and does nothing between pods",
    "select the whole container, or give the process a container or unit of its own",
)


def untouchable(policies: str, count: int) -> Refused:
    """Realtime, deadline and idle-policy threads belong to whoever made them so."""
    threads = f"{count} threads run" if count != 1 else "a thread runs"
    return Refused(
        "priority",
        f"{threads} under {policies}; such threads are never touched",
        "let the application choose SCHED_OTHER where a policy shall schedule it",
    )


def _why(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "")
    text = error.strerror or str(error)
    return f"{text} ({name})" if name else text
