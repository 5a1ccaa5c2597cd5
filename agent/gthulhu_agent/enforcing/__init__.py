"""Ways into the kernel, behind one protocol.

``binding``    what an enforcer is told
``protocol``   what an enforcer answers
"""
