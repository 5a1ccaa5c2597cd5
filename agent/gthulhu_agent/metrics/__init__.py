"""What the agent counts, in OpenMetrics."""
