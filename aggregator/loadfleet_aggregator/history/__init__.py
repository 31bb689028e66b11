"""A fleet's runs in the order of their time."""
