"""What an operator does with a fleet at work: run, watch, read logs, stop, collect, clean."""
