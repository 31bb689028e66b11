"""The fleet as an inventory names it: its settings, its plans, the record of a run."""
