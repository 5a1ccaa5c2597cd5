"""What runs on this node: groups of processes read from cgroups, with every thread.

``snapshot``   the values
"""
