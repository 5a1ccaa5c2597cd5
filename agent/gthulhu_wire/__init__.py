"""What the control plane and the agent must agree on, standard library only.

``intents``
    the desired set of a node: its values, its JSON and its digest.
``globs``
    what ``*`` and ``?`` mean in names.
``protection``
    the units that neither side lets a policy take by accident.
``refusals``
    the closed list of codes with which an agent answers no.
``dialects``
    other parties' scales of priority, translated to ours.
``documents``
    reading JSON from outside into those values, with the path of every fault.
"""
