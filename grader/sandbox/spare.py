"""A spare interpreter, for systems without fork: imports torch, waits for work on its standard input, does it, and
ends. Its standard output becomes the channel; what the code under test prints goes to standard error, and where it
reads there is nothing.

Nobody tells it when the grader is killed while the job runs: it looks for itself, every half second.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

from grader.protocol.scratch import remember, remove_tree

LOOK_SECONDS = 0.5


def main() -> None:
    channel, stream = os.dup(1), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the import
    import torch

    from grader.protocol.job import READY, Work
    from grader.sandbox import child
    from grader.sandbox.warm_up import warm_up

    gc.freeze()
    gc.enable()
    torch.set_num_threads(1)
    warm_up(Path())
    os.write(channel, READY)
    grader = os.getppid()
    text = stream.readline().decode()
    if text:
        work = Work.from_json(text)
        remember(work.scratch)
        child.serve(work, stream, channel, lambda: _end_with(grader, work.scratch))


def _end_with(grader: int, scratch: str) -> None:
    threading.Thread(target=_wait_for_its_end, args=(grader, scratch), daemon=True).start()


def _wait_for_its_end(grader: int, scratch: str) -> None:
    while _is_there(grader):
        time.sleep(LOOK_SECONDS)
    remove_tree(scratch)
    os._exit(1)


def _is_there(process: int) -> bool:
    if os.name == "nt":  # where the parent's number stays what it was when the parent is gone
        import psutil

        return psutil.pid_exists(process)
    return os.getppid() == process


if __name__ == "__main__":
    main()
