// SPDX-License-Identifier: GPL-2.0
/*
 * Tells which threads and cgroups come, change and go in the cgroups that the
 * agent watches, so that it need not look for them.
 *
 * What is told
 *
 *   fork, exec, exit, rename   of threads whose cgroup is watched for THREADS
 *   moved                      of threads and processes that come to such a cgroup
 *   cgroup made, cgroup gone   in a cgroup that is watched for CGROUPS
 *   crowded                    of a watched cgroup: too much to tell one by one
 *   busy                       the same of forks and exits
 *
 * One hierarchy counts, the one that discovery reads; ids of cgroups are unique
 * within a hierarchy only.  A cgroup is watched as the nearest of its ancestors
 * or itself that is in the map "watched": who makes a cgroup below a watched one
 * cannot run a thread in it that is not told, and nothing is copied that could
 * go stale or find the map full.
 *
 * How it stays cheap
 *
 * The programs hang on events that cost the kernel tens of microseconds
 * themselves (never on switches or wake-ups), so an idle machine runs none.  A
 * thread that nobody watches costs a climb to the root of the hierarchy: two
 * loads and one lookup a level, with three to six levels on a node.  A watched
 * cgroup has a budget of records per window of time.  When it is spent, one
 * record says that the cgroup is crowded, and for the rest of the window its
 * events are only counted: a storm of execs in a pod costs the agent one look at
 * the pod per window, not a wake-up per process, and leaves the ring buffer to
 * others.  What happens after that record is covered by the reader, who takes a
 * crowded cgroup as crowded until the window is over.
 *
 * Births and deaths are the most and matter least: who is forked has its parent's
 * name, slice and nice value.  They have a smaller budget of their own, so that a
 * fork bomb neither hides an exec nor makes anybody look at the pod at once, and
 * of those in one window only the first wakes the reader, who comes for the rest
 * when the window is over.
 *
 * Nothing is lost in silence: a full ring buffer and a spent budget are counted
 * per CPU, and the reader looks at the counters after it has made room.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "tracer.h"

char LICENSE[] SEC("license") = "GPL";

/* The hierarchy by its number in /proc/self/cgroup; 0 is version 2, which has one. */
const volatile int hierarchy_id = 0;
/* Records of one watched cgroup in one window, CROWDED and BUSY not counted. */
const volatile __u32 window_budget = 64;
/* The same of forks and exits. */
const volatile __u32 window_births = 16;
const volatile __u64 window_length_ns = 50000000;

/*
 * Not preallocated, so that memory follows the number of watched cgroups; only
 * the reader adds and removes, from a system call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TRACER_MAX_WATCHED);
	__type(key, __u64);
	__type(value, struct tracer_watch);
} watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TRACER_RING_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRACER_NR_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Deeper than any tree seen; systemd within a pod reaches ten levels. */
enum { MAX_DEPTH = 32 };

struct nearest {
	struct tracer_watch *watch;	/* NULL: nobody watches */
	__u64 id;			/* the cgroup that is in the map */
};

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value)
		(*value)++;
}

static __always_inline __u64 id_of(struct cgroup *cgrp)
{
	return cgrp->kn->id;
}

static __always_inline struct cgroup *parent_of(struct cgroup *cgrp)
{
	struct cgroup_subsys_state *parent = cgrp->self.parent;

	return parent ? parent->cgroup : NULL;
}

static __always_inline bool in_hierarchy(struct cgroup *cgrp)
{
	return cgrp->root->hierarchy_id == hierarchy_id;
}

/* The cgroup of @task in the hierarchy that counts. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = task->cgroups;

	if (!hierarchy_id)
		return set->dfl_cgrp;
	return set->subsys[bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id)]->cgroup;
}

static __always_inline struct nearest try_lookup_watch(struct cgroup *cgrp)
{
	struct nearest found = {};

	for (int depth = 0; depth < MAX_DEPTH && cgrp; depth++) {
		found.id = id_of(cgrp);
		found.watch = bpf_map_lookup_elem(&watched, &found.id);
		if (found.watch)
			break;
		cgrp = parent_of(cgrp);
	}
	return found;
}

/* Whether there was room for it. */
static __always_inline bool tell(__u32 kind, __u32 tgid, __u32 tid, __u64 cgroup, __u64 parent,
				 __u64 wakeup)
{
	struct tracer_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(TRACER_LOST);
		return false;
	}
	event->kind = kind;
	event->tgid = tgid;
	event->tid = tid;
	event->unused = 0;
	event->cgroup = cgroup;
	event->parent = parent;
	bpf_ringbuf_submit(event, wakeup);
	return true;
}

static __always_inline bool is_birth(__u32 kind)
{
	return kind == TRACER_FORK || kind == TRACER_EXIT;
}

/*
 * Whether one more record may be told; *@wakeup is for tell().  CPUs race for the window: two of them may
 * begin it both, or tell twice that it is crowded, and either costs a few records.
 * What cannot happen is a record that is held back in a window that is not told as
 * crowded, because who held it back sees to that itself.
 */
static __always_inline bool spend(struct nearest *at, __u32 kind, __u64 *wakeup)
{
	struct tracer_watch *watch = at->watch;
	__u64 now = bpf_ktime_get_ns();
	__u64 window;

	if (now - watch->window_ns >= window_length_ns) {
		watch->window_ns = now;
		watch->used = 0;
		watch->births = 0;
	}
	/*
	 * Never left to the kernel, which wakes only a reader that has read all: behind a
	 * record that wakes nobody no other would.
	 */
	*wakeup = BPF_RB_FORCE_WAKEUP;
	if (is_birth(kind)) {
		if (watch->births < window_births) {
			/* Two CPUs may both find none before them; that none does cannot be. */
			if (watch->births)
				*wakeup = BPF_RB_NO_WAKEUP;
			__sync_fetch_and_add(&watch->births, 1);
			return true;
		}
	} else if (watch->used < window_budget) {
		__sync_fetch_and_add(&watch->used, 1);
		return true;
	}
	count(TRACER_HELD_BACK);
	window = watch->window_ns;
	/* Noted only where it was told: a reader that empties a full buffer is told by the next one. */
	if (is_birth(kind)) {
		if (watch->busy_ns != window && tell(TRACER_BUSY, 0, 0, at->id, 0, BPF_RB_NO_WAKEUP))
			watch->busy_ns = window;
	} else if (watch->crowded_ns != window && tell(TRACER_CROWDED, 0, 0, at->id, 0, BPF_RB_FORCE_WAKEUP)) {
		watch->crowded_ns = window;
	}
	return false;
}

static __always_inline void tell_thread(__u32 kind, __u32 tgid, __u32 tid, struct cgroup *cgrp)
{
	struct nearest at = try_lookup_watch(cgrp);
	__u64 wakeup;

	if (at.watch && at.watch->flags & TRACER_WATCH_THREADS && spend(&at, kind, &wakeup))
		tell(kind, tgid, tid, id_of(cgrp), 0, wakeup);
}

static __always_inline void tell_cgroup(__u32 kind, struct cgroup *cgrp)
{
	struct cgroup *parent = parent_of(cgrp);
	struct nearest at;
	__u64 wakeup;

	if (!parent || !in_hierarchy(cgrp))
		return;
	/* A watched cgroup that goes is told by its own entry, whatever is above it. */
	at = try_lookup_watch(cgrp);
	if (at.watch && at.watch->flags & TRACER_WATCH_CGROUPS && spend(&at, kind, &wakeup))
		tell(kind, 0, 0, id_of(cgrp), id_of(parent), wakeup);
}

/* Before the child's first instruction, and already in the cgroup that clone3 gave it. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tracer_fork, struct task_struct *parent, struct task_struct *child)
{
	tell_thread(TRACER_FORK, child->tgid, child->pid, cgroup_of(child));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec, struct task_struct *task, pid_t old_pid)
{
	struct cgroup *cgrp = cgroup_of(task);

	/* A thread that is not the leader takes the leader's id: its own ends without an exit. */
	if (old_pid != task->pid)
		tell_thread(TRACER_EXIT, task->tgid, old_pid, cgrp);
	tell_thread(TRACER_EXEC, task->tgid, task->pid, cgrp);
	return 0;
}

/* The task keeps its cgroup until it is released, so it can still be asked for. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(tracer_exit, struct task_struct *task)
{
	tell_thread(TRACER_EXIT, task->tgid, task->pid, cgroup_of(task));
	return 0;
}

/* A moment before the new comm is there: task_lock is held, with preemption off, until it is. */
SEC("tp_btf/task_rename")
int BPF_PROG(tracer_rename, struct task_struct *task)
{
	tell_thread(TRACER_RENAME, task->tgid, task->pid, cgroup_of(task));
	return 0;
}

/* After the move. Fires once per hierarchy that is written to. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tracer_moved, struct cgroup *to, const char *path, struct task_struct *task, bool whole)
{
	if (in_hierarchy(to))
		tell_thread(TRACER_MOVED, task->tgid, whole ? 0 : task->pid, to);
	return 0;
}

/* Before the directory can be opened, thus before anything can be put into it. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(tracer_cgroup_made, struct cgroup *cgrp)
{
	tell_cgroup(TRACER_CGROUP_MADE, cgrp);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(tracer_cgroup_gone, struct cgroup *cgrp)
{
	tell_cgroup(TRACER_CGROUP_GONE, cgrp);
	return 0;
}
