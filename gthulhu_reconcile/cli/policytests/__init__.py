"""Unit tests of policies, the ``test`` command: who wins on which pod, said in YAML, with no way to pass by accident.

``documents``  the format (pydantic; ``schemas/policy-test-v1.json`` is generated from it)
``reading``    from files to test sets, with positions
``running``    pure: policies, pods and expectations to results
"""
