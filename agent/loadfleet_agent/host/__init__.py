"""Facts about the machine, its telemetry, and what keeps two runs off the same GPUs."""
