"""`python -m grader`: see that what is needed is installed, then run the command."""

import sys


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - the whole point is to say so in one line
        print("GPT Kata needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".", file=sys.stderr)
        return 3
    from grader import bootstrap

    bootstrap.ensure(sys.argv[1:])
    from grader import cli

    return cli.run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
