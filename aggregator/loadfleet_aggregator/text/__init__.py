"""Numbers, names and foreign text as they are shown to people."""
