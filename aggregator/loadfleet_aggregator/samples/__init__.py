"""What samples.parquet of each run says: latency, agreement of answers, tokens over time."""
