"""Ansible's YAML inventories, as far as they say where agents are.

``ranges``   ``node[01:10]``
``groups``   hosts, groups and the precedence of variables
``files``    hosts files, ``group_vars`` and ``host_vars`` into those
"""
