"""`draw`: the inputs of a probe, all from one seed, the same for every subject.

Nothing here touches torch's or Python's global random state, so code under test cannot shift what is drawn.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")

# Letters from several alphabets, a combining mark, an emoji of four code points: what breaks byte handling.
TEXT_PIECES = (
    "the", "tokens", "lower", "newest", "aaa", "Café", "naïve", "Straße", "don't", "we'll", "12", "2026",
    "日本", "мир", "שלום", "e\u0301", "🙂", "👩\u200d👧", "…", "--", "!?", "(x)", "\n", "\n\n", "\t", "  ",
    "a", "b",
)  # fmt: skip


def derive(seed: int, *names: str) -> int:
    """A seed of 63 bits for one use, from the run's seed and the names of what it is for."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Draw:
    """Seeded inputs. Every method returns fresh objects; tensors are float32 or int64, on the CPU."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._tensors = torch.Generator().manual_seed(seed)
        self._random = random.Random(seed)
        self._handed_out: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def normal(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
        """Normally distributed float32 of this shape, with this standard deviation around `shift`."""
        value = torch.randn(*shape, generator=self._tensors) * scale + shift
        return self._remember("normal", value)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Uniform float32 in [low, high)."""
        value = torch.rand(*shape, generator=self._tensors) * (high - low) + low
        return self._remember("uniform", value)

    def integers(self, *shape: int, low: int = 0, high: int) -> torch.Tensor:
        """Uniform int64 in [low, high)."""
        value = torch.randint(low, high, shape, generator=self._tensors)
        return self._remember("integers", value)

    def permutation(self, count: int) -> torch.Tensor:
        """The numbers 0 … count − 1 in random order, int64."""
        return self._remember("permutation", torch.randperm(count, generator=self._tensors))

    def whole(self, low: int, high: int) -> int:
        """One int in [low, high)."""
        return self._random.randrange(low, high)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """One float in [low, high)."""
        return self._random.uniform(low, high)

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return self._random.choice(items)

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different items, in random order."""
        return self._random.sample(items, count)

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """All items in random order."""
        return self.sample(items, len(items))

    def word(self, letters: str = "abcdefghijklmnopqrstuvwxyz", low: int = 2, high: int = 9) -> str:
        """A random word of low … high − 1 letters."""
        return "".join(self._random.choice(letters) for _ in range(self._random.randrange(low, high)))

    def text(self, pieces: int = 40) -> str:
        """Mixed text: words, numbers, several alphabets, emoji, runs of white space."""
        chosen = (self._random.choice(TEXT_PIECES) for _ in range(pieces))
        return "".join(piece + self._random.choice(("", " ", " ")) for piece in chosen)

    def fill(self, module: torch.nn.Module, scale: float = 0.5) -> None:
        """Set every parameter from the seed, its name and its shape, whatever order they were made in.

        One-dimensional weights (the scale of a normalisation) are centred on 1, so that the signal survives.
        """
        for name, parameter in module.named_parameters():
            generator = torch.Generator().manual_seed(derive(self.seed, name, str(tuple(parameter.shape))))
            centre = 1.0 if parameter.dim() == 1 and name.endswith(("weight", "scale")) else 0.0
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + centre)

    def changed_inputs(self) -> list[str]:
        """Which of the tensors handed out no longer hold what they held: an observation of every check."""
        return [name for name, value, copy in self._handed_out if not _same(value, copy)]

    def _remember(self, kind: str, value: torch.Tensor) -> torch.Tensor:
        name = f"{kind}({', '.join(map(str, value.shape))})"
        self._handed_out.append((name, value, value.clone()))
        return value


def _same(value: torch.Tensor, copy: torch.Tensor) -> bool:
    return value.shape == copy.shape and value.dtype == copy.dtype and bool((value == copy).all())
