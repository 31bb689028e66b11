"""What the renderings show of a report: values that stand ready for a template, in its order."""
