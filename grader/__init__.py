"""The grader: runs the same probes against your code and the reference, and compares what was observed."""

import sys

# While `python -m` looks for what to run, this is the first argument; and this package is the first to be imported.
if sys.argv[:1] == ["-m"] and sys.version_info >= (3, 11):
    from grader import shadows

    shadows.refuse()
