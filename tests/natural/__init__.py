"""Whole files as other people write them, right and wrong, and what the grader says of them."""
