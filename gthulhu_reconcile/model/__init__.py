"""Values that cross the layers: frozen, typed, without I/O.

``documents``     policies as people write them (pydantic; the schemas are generated from these)
``policy``        policies as the planner reads them
``pods``          observed pods and nodes
``accepted``      what a node's agent has stored
``plan``          the difference, as a value
``diagnostics``   what is wrong with an input, and where
"""
