/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tracer and who reads it agree on: numbers, and structs of fixed-width
 * members without holes.  gthulhu_agent.discovery.events speaks the same; a test
 * compares both.
 */
#ifndef GTHULHU_TRACER_H
#define GTHULHU_TRACER_H

enum tracer_kind {
	TRACER_FORK = 1,
	TRACER_EXEC = 2,
	TRACER_EXIT = 3,
	TRACER_RENAME = 4,
	TRACER_MOVED = 5,
	TRACER_CGROUP_MADE = 6,
	TRACER_CGROUP_GONE = 7,
	TRACER_CROWDED = 8,
	TRACER_BUSY = 9,
};

/* Bits of tracer_watch.flags. */
enum tracer_flag {
	TRACER_WATCH_THREADS = 1,
	TRACER_WATCH_CGROUPS = 2,
};

/* Indices of the per-CPU array "counters". */
enum tracer_counter {
	TRACER_LOST = 0,	/* the ring buffer was full */
	TRACER_HELD_BACK = 1,	/* the budget of a watched cgroup was spent */
	TRACER_NR_COUNTERS,
};

/* Cgroups that are watched by themselves; those below them take no room. */
enum { TRACER_MAX_WATCHED = 65536 };

/* Records of 40 bytes with the header that the kernel puts before each: 6,500 fit. */
enum { TRACER_RING_BYTES = 256 * 1024 };

/* A record of the ring buffer "events"; ids are those of the initial pid namespace. */
struct tracer_event {
	__u32 kind;
	__u32 tgid;
	__u32 tid;		/* 0: every thread of tgid */
	__u32 unused;
	__u64 cgroup;
	__u64 parent;		/* of cgroup, where that was made or is gone */
};

/* A value of the hash "watched", whose key is the cgroup's kernfs id, 64 bits. */
struct tracer_watch {
	__u32 flags;
	__u32 used;		/* events in the window, but for births and deaths */
	__u32 births;		/* forks and exits in it */
	__u32 unused;
	__u64 window_ns;	/* when the window began, CLOCK_MONOTONIC */
	__u64 crowded_ns;	/* the window in which that it is crowded was told */
	__u64 busy_ns;		/* the window in which that it is busy was told */
};

_Static_assert(sizeof(struct tracer_event) == 32, "a record has no holes");
_Static_assert(sizeof(struct tracer_watch) == 40, "a value has no holes");

#endif
