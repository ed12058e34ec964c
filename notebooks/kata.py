"""What every notebook begins with: the exercises as modules, the story, and what is drawn on."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from grader.learner.mixture import PART_NAMES  # noqa: E402
from scripts.parts import load_parts  # noqa: E402

torch.set_num_threads(1)


class Course:
    """The exercises by their numbers: `course["ex06"]` is the module.

    Arguments
        whose  `mixed`: yours where it has passed, the reference's elsewhere. `solutions`: the reference's.
    """

    def __init__(self, whose: str = "mixed") -> None:
        self._parts = load_parts(whose, "scripts.train", *PART_NAMES)

    def __getitem__(self, number: str) -> ModuleType:
        (name,) = (name for name in PART_NAMES if name.startswith(number))
        return self._parts.module(name)

    @property
    def story(self) -> str:
        """The story in `data/`: 36,000 characters."""
        return (ROOT / "data" / "story.txt").read_text(encoding="utf-8")
