"""What to measure, and on which CPUs."""
