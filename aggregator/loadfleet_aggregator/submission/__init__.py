"""An MLPerf Inference submission package from a run's collected folders."""
