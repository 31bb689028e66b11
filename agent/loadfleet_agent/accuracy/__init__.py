"""Accuracy of the answers, exactly as MLPerf's evaluation computes it."""
