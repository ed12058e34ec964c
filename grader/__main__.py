"""`python -m grader`: see that what is needed is installed, then run the command."""

import os
import sys

INTERRUPTED = 130  # what typer makes of Ctrl-C


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - the whole point is to say so in one line
        print("GPT Kata needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".", file=sys.stderr)
        return 3
    try:
        from grader import stopping  # whatever takes time to import is imported where Ctrl-C is answered

        stopping.answer_signals()
        from grader import bootstrap

        bootstrap.ensure(sys.argv[1:])
        from grader import cli

        code = cli.run(sys.argv[1:])
        stopping.ignore_signals()  # it is done: there is nothing left to stop
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        # Not sys.exit: nobody waits for threads after Ctrl-C, and a KeyboardInterrupt that once passed through
        # an `exec` makes Python end as if by the signal, whatever was returned. The same after a second Ctrl-C.
        try:
            print("grader: stopped. Nothing is lost.", file=sys.stderr, flush=True)
            sys.stdout.flush()
            from grader import stopping  # it may have come before this was imported

            code = stopping.exit_code()
        finally:
            os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
