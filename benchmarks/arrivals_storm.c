// SPDX-License-Identifier: Apache-2.0
// Makes so many processes a second that end at once, for so many seconds; prints how many it came to.
//
// Each has an id, a fork and an exit of its own, and shares its maker's memory: copying page tables would be most of
// the work, and nothing of it is the agent's business. Nobody waits for a child before the next is made, which would
// put two context switches between two forks.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 1024, STACK = 4096 };

static char stacks[CHILDREN][STACK] __attribute__((aligned(STACK)));

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static int end(void *unused)
{
	(void)unused;
	syscall(SYS_exit, 0);
	return 0;
}

int main(int argc, char **argv)
{
	double rate = argc > 2 ? atof(argv[1]) : 0, seconds = argc > 2 ? atof(argv[2]) : 0, begun = now();
	long forks = 0;
	int free = CHILDREN;

	while (now() - begun < seconds) {
		// In pieces of a millisecond: sleeping between single forks would cost more than the forks.
		for (; free && forks < (now() - begun) * rate; free--, forks++)
			if (clone(end, stacks[free - 1] + STACK, CLONE_VM | SIGCHLD, NULL) < 0)
				return 1;
		usleep(1000);
		// Which child had which stack nobody notes: they are given out again when all are back.
		if (free < CHILDREN / 2)
			for (; free < CHILDREN && waitpid(-1, NULL, 0) > 0; free++)
				;
	}
	printf("%ld\n", forks);
	return 0;
}
