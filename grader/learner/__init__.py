"""What the learner wrote: the file that is graded, what it has to offer, and its history."""
