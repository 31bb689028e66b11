"""Two runs side by side, with the outcome that a gate needs."""
