"""Charts: pure functions from a report's models to the geometry that the templates draw.

Across, everything is a share of the chart's width in percent, so that a chart fits any screen and
its text keeps its size; curves are paths in a box that is stretched, with lines that are not.
"""
