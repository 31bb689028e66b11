"""Accuracy of the engine that is timed, by EleutherAI's lm-evaluation-harness."""
