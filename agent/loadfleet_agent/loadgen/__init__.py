"""The seam to MLPerf LoadGen: its settings, the system under test, one run of it."""
