"""What a newly passed exercise does for the learner's GPT: a text that it writes with that part, or how to get one.

The latest run of `scripts.train` holds the weights. The learner's parts, as far as they have passed, write with
them, confined as in grading: it is the scene of the exercise that loads weights, with that run for its folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from grader.commands.show import scene_job
from grader.course.catalogue import choose, exercise_ids
from grader.errors import UsageError
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Attempt, Store
from grader.learner.mixture import PART_NAMES, mix
from grader.protocol.job import Limits
from grader.protocol.runs import Ending
from grader.supervisor.jobs import run
from grader.supervisor.launcher import Launcher
from grader.text import PYTHON, shorten

# The exercises that a GPT which trains and writes is made of.
FIRST, LAST = "ex02", "ex15"
# Its scene observes the text that was written under this name.
WEIGHTS, WRITTEN = "ex14_weights", "written"
SEED = 17
SECONDS = 20.0
MEMORY = 2 * 2**30
LONGEST = 240


def milestone(
    root: Path, before: dict[str, Attempt], results: Sequence[ExerciseResult], store: Store, launcher: Launcher
) -> str:
    """A line for the last part that passed now and had not before; nothing where there is none.

    `before` holds the last graded attempt of each exercise before these results.
    """
    passed = [result.id for result in results if result.status is Status.PASSED and FIRST <= result.id < LAST]
    new = [name for name in passed if name not in before or not before[name].passed]
    if not new:
        return ""
    part = PART_NAMES[new[-1]]
    verb = "is" if not part.endswith("s") or part.endswith("loss") else "are"
    train = f"{PYTHON} -m scripts.train"
    latest = _latest_run(root)
    text = _spoken(root, latest, store, launcher) if latest else ""
    if text:
        return f"Your GPT, with your {part} in it, now writes: {text}"
    done = {*passed, *(name for name, attempt in before.items() if attempt.passed)}
    if all(name in done for name in exercise_ids(root) if FIRST <= name < LAST):
        return f"Your {part} {verb} in your GPT now, and all of it is yours. Let it learn: {train}"
    return (
        f"Your {part} {verb} in your GPT now. Let it learn, with the reference for what is missing: "
        f"{train} --using mixed"
    )


def _latest_run(root: Path) -> Path | None:
    """The newest run of `scripts.train` with a checkpoint."""
    for settings in sorted((root / "runs").glob("*/settings.json"), reverse=True):
        try:
            is_training = json.loads(settings.read_text(encoding="utf-8"))["training"] is not None
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if is_training and (settings.parent / "checkpoint.pt").exists():
            return settings.parent
    return None


def _spoken(root: Path, folder: Path, store: Store, launcher: Launcher) -> str:
    """What the GPT of that run writes; nothing where it does not get that far."""
    try:
        (exercise,) = choose(root, [WEIGHTS])
        scene = exercise.scene
        if scene is None:
            return ""
        mixture = mix(root, root / "exercises", (WEIGHTS, *scene.needs), store.latest_graded())
        job = scene_job(exercise, scene, mixture.sources, SEED, Limits(SECONDS, memory=MEMORY), read=folder)
    except UsageError:
        return ""
    last = run(launcher, job).checks[-1]
    written = [observation.value for observation in last.observations if observation.name == WRITTEN]
    if last.ending is not Ending.RETURNED or not written or not isinstance(written[0], str):
        return ""
    return shorten(" ".join(written[0].split()), LONGEST)
