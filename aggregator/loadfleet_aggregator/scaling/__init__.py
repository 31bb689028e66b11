"""How much of its hosts' speed a fleet keeps as they work together."""
