"""How the control plane talks to agents: addresses, one bounded HTTP client, retries and the fan-out over nodes."""
