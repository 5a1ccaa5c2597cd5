"""From policies, pods and accepted state to a plan. Pure: no clock, no I/O, no logging."""
