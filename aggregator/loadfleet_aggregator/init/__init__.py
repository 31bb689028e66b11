"""loadfleet init: a first inventory from addresses, with a profile that fits the GPUs there."""
