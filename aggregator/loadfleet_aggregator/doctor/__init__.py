"""loadfleet doctor: what stands against the next command, on the controller and on the hosts."""
