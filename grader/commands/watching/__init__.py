"""`python -m grader watch`: each save is answered at once."""
