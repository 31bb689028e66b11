"""Evaluations of a fleet by lm_eval: shards joined, hosts and plans held against one another."""
