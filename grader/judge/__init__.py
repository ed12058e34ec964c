"""Pure decisions: from what was observed to a verdict and to what is said about it."""
