"""The grader: runs the same probes against your code and the reference, and compares what was observed."""
