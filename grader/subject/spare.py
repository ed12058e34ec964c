"""A spare interpreter, for systems without fork: imports torch, waits for one job on its standard input,
runs it, ends. Its standard output becomes the channel; what the code under test prints goes to standard error.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    channel = os.dup(1)
    os.dup2(2, 1)
    import torch

    from grader.subject import child
    from grader.subject.agreed import READY
    from grader.subject.job import Work

    torch.set_num_threads(1)
    os.write(channel, READY)
    text = sys.stdin.buffer.read().decode()
    if text:
        child.serve(Work.from_json(text), channel)


if __name__ == "__main__":
    main()
