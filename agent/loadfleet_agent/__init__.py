"""Runs the Llama-3.1-8B benchmark with vLLM under MLPerf LoadGen on one host."""

__version__ = "0.1.0"
