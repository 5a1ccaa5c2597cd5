"""The command line: parses, calls ``runtime``, renders. Nothing is decided here.

``main``        entry point: lazy commands, exit codes, errors without tracebacks
``exits``       the exit codes
``terminal``    standard output and error: colour, width, broken pipes
``options``     options that several commands share
``commands``    one module per command, thin
``rendering``   pure functions from values to text, JSON, GitHub annotations and JUnit
``policytests`` unit tests of policies: the ``test`` command's format and runner
"""
