"""Ways into the kernel, behind one protocol.

``binding``    what an enforcer is told; ``matching`` makes it of intents and what runs, with RE2 in ``patterns``
``protocol``   what an enforcer answers
``choose``     which enforcer an agent runs with: ``eevdf`` or the one of ``measuring``

Of ``eevdf``, from decision to kernel:

``carriers`` (which cgroup carries a weight), ``wishes``, ``priorities``, ``deciding``, ``records`` and ``reporting``
are pure. ``threads`` and ``weights`` run a round over them, with ``lineage`` for what was inherited by fork;
``journal`` keeps what was there before. ``thread_writing``, ``tasks``, ``sched_attr``, ``cgroups`` and ``systemd``
touch the machine, whose no becomes data in ``refusing``.
"""
