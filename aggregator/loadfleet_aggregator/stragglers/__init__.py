"""Which hosts hold a fleet back, and what is different about them."""
