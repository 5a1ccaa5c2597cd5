"""What runs and what agents have accepted."""
