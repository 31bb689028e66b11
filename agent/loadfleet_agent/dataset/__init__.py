"""The samples of a run: where they come from, tokenised once and hashed."""
