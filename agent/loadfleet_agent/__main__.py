"""python -m loadfleet_agent: the same as the command loadfleet-agent."""

from .cli import main

main()
