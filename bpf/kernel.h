/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of the kernel's types that the programs here read, written by hand.
 *
 * Members have no meaning by place: libbpf finds each by name in the running
 * kernel's BTF when an object is loaded (CO-RE), so that one object fits every
 * kernel and these structs list no more than is read.  Numbers of the user API
 * (include/uapi/linux/bpf.h) never change and are given as they are.
 */
#ifndef GTHULHU_KERNEL_H
#define GTHULHU_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __s32 pid_t;

#define bool _Bool
#define true 1
#define false 0

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_F_NO_PREALLOC = 1 };

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum cgroup_subsys_id {
	cpu_cgrp_id = 1,	/* by configuration: always taken from BTF */
};

struct kernfs_node {
	__u64 id;		/* what stat(2) calls the inode number, since 5.5 */
};

struct cgroup_root {
	int hierarchy_id;	/* as in /proc/<pid>/cgroup; 0 is version 2 */
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];	/* as many as are configured */
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	pid_t pid;		/* the thread */
	pid_t tgid;		/* the process */
	struct css_set *cgroups;
};

#pragma clang attribute pop

#endif
