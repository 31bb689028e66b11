"""The report: a model built from collected folders, and its renderings."""
