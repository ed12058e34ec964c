"""A scene: what the learner's own code shows, as panels, in the terminal and as a picture."""
