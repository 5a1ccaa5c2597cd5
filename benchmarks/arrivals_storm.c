// SPDX-License-Identifier: Apache-2.0
// Forks so many processes a second that end at once, for so many seconds; prints how many it came to.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double rate = argc > 2 ? atof(argv[1]) : 0, seconds = argc > 2 ? atof(argv[2]) : 0, begun = now();
	long forks = 0;

	while (now() - begun < seconds) {
		// In pieces of a millisecond: sleeping between single forks would cost more than the forks.
		while (now() - begun < seconds && forks < (now() - begun) * rate) {
			pid_t child = fork();

			if (child == 0)
				_exit(0);
			if (child < 0)
				return 1;
			waitpid(child, NULL, 0);
			forks++;
		}
		usleep(1000);
	}
	printf("%ld\n", forks);
	return 0;
}
