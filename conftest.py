"""Makes the probes runnable by plain pytest; see grader/pytest_plugin.py."""

pytest_plugins = ["grader.pytest_plugin"]
