"""The code under test of the trials: ordinary Python that does what it may not.

Never imported: it is read, and run as an exercise is.
"""

import socket
import subprocess
import sys
from pathlib import Path


def read(path: str) -> None:
    Path(path).open().close()


def listen(path: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))


def start(path: str) -> None:
    subprocess.run([sys.executable, "-c", ""], check=False)
