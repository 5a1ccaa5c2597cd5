"""What can be configured, how it is said, and where it is said."""
