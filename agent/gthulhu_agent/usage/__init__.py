"""What pods use of the CPU and how long they wait for it, read from the kernel's own counters of each thread."""
