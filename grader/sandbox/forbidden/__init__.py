"""The watch on forbidden built-ins: which operations compute what, and the three places where they are seen."""
