"""What the supervisor and the sandbox share: jobs, what a run saw, and the frames it travels in.

Standard library only, and nothing else of the grader: both sides import this, neither imports the other.
"""
