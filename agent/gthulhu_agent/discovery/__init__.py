"""What runs on this node: groups of processes read from cgroups, with every thread.

``snapshot``    the values
``scan``        one look at the host, as a value
``layout``      which hierarchy has the cpu controller: v1, v2, hybrid
``tree``        the cgroups of a hierarchy and the pids in each
``members``     which process is in which cgroup, in spite of what changes meanwhile
``processes``   the processes that are known, so that another look is cheap
``procfs``      reading /proc
``kubepods``    what a cgroup's path says: container, pod, host
``units``       the systemd unit of a cgroup
``podfile``     the local pod file
``declared``    who belongs to the declared pods
``podnames``    names of pods and containers from the kubelet's log directories
``grouping``    from processes and cgroups to groups and pods
``faults``      what could not be read
"""
