"""Finds engine settings that make this host faster: ``loadfleet-agent tune``."""
