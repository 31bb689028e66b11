"""Turns the logs of many hosts into one judgement; runs on the controller."""

__version__ = "0.1.0"
