"""Bringing datasets to this host before a run, which never asks the network."""
