"""Looking at networks, schedules and runs: what they cost."""
