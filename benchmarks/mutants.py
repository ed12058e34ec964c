"""Which changes that only a machine would make do the probes not see?

    python benchmarks/mutants.py [EXERCISE]… [--seed 17] [--all]

Known mistakes (`tutor/`) are what a person writes; `python3 -m grader matrix` proves that each is seen. This is the
other half: every change that mutmut's operators make to a solution, one at a time. Two that come to the same are
one. A mutant that no probe sees needs a probe where the docstring forbids it, and its reason in `survivors.toml`
where it does not. Shown are the score, the survivors without a reason, with their lines, and the reasons that fit
no survivor; with `--all` those with a reason too. Exit code 1 if there is anything to do.

It wants mutmut: `pip install -c constraints.txt -e ".[bench]"`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import survivors  # noqa: E402
from benchmarks.mutations import Mutant, mutants  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402
from grader.grading.bench import Bench, Processes  # noqa: E402
from grader.grading.matrix import checks_that_see, find_reach  # noqa: E402
from grader.judge.compare import departures  # noqa: E402
from grader.protocol.runs import IMPORT_CHECK  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402

# On how many checks each mutant runs at first.
FIRST = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    parser.add_argument("--seed", type=int, default=17, help="of the inputs")
    parser.add_argument("--all", action="store_true", help="show the survivors that have a reason as well")
    arguments = parser.parse_args()
    chosen = choose(ROOT, arguments.exercises) if arguments.exercises else load(ROOT)
    reasons = survivors.read(survivors.FILE.read_text(encoding="utf-8"))
    launcher = start_launcher(arguments.seed)
    made, unseen, to_do = 0, 0, 0
    try:
        for exercise in chosen:
            found = list(mutants(exercise))
            surviving = unseen_of(Bench(exercise, arguments.seed, Processes(launcher)), found)
            review = survivors.review(surviving, reasons.get(exercise.id, ()))
            made, unseen = made + len(found), unseen + len(surviving)
            to_do += len(review.unexplained) + len(review.stale)
            show(score(exercise.id, len(found), len(surviving)), review, arguments.all)
    finally:
        launcher.close()
    print(score("all", made, unseen))
    return 1 if to_do else 0


def unseen_of(bench: Bench, some: list[Mutant]) -> list[Mutant]:
    """Those that no probe sees. Most are seen by the first probes, and only the others run on the rest."""
    reach = find_reach(bench)
    checks = {mutant: checks_that_see(mutant.edit, bench.exercise, reach) for mutant in some}
    left = some
    for part in (slice(FIRST), slice(FIRST, None)):
        left = unseen_by(bench, [(mutant, checks[mutant][part]) for mutant in left])
    return left


def unseen_by(bench: Bench, work: list[tuple[Mutant, tuple[str, ...]]]) -> list[Mutant]:
    """Those that these checks do not see."""
    runs = bench.run_variants([(mutant.edit, names) for mutant, names in work])
    return [
        mutant
        for (mutant, names), run in zip(work, runs, strict=True)
        if not departures(bench.reference(), run, (IMPORT_CHECK, *names))
    ]


def score(name: str, made: int, unseen: int) -> str:
    seen = made - unseen
    return f"{name}: {seen:,} of {made:,} mutants seen ({seen / max(1, made):.1%})"


def show(head: str, review: survivors.Review, with_reasons: bool) -> None:
    print(head, flush=True)
    for mutant in review.unexplained:
        print(f"  line {mutant.line}: {mutant.before}\n      ->  {mutant.after}")
    for mutant, reason in review.explained if with_reasons else ():
        print(f"  line {mutant.line}: {mutant.before}\n      ->  {mutant.after}\n      {reason}")
    for before, after in review.stale:
        print(f"  its reason fits no survivor: {before}\n      ->  {after}")


if __name__ == "__main__":
    sys.exit(main())
