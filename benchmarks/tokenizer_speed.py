"""How quick the reference's byte pair encoding is, beside libraries and beside plain loops, in the same run.

    python benchmarks/tokenizer_speed.py [--rounds 7]

Learning (ex02) is measured beside `tokenizers` and beside loops that count and merge in the whole text, as the
first lines on byte pair encoding that one writes do. Encoding (ex03) is measured beside `tiktoken`, `tokenizers`
and such loops, all with the ranks that ex02 has learned; before anything is measured, all ids are compared. Rounds
of one and of the other alternate, and the median of the rounds counts. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grader.hub.byte_level import byte_characters  # noqa: E402
from solutions.ex02_bpe_train import GPT2_PATTERN, pretokenize, train_bpe  # noqa: E402
from solutions.ex03_bpe import BPETokenizer  # noqa: E402

STORY = ROOT / "data" / "story.txt"
VOCABULARY = 400
Pair = tuple[int, int]


def plain_train(text: str, vocab_size: int) -> list[Pair]:
    """The merges, by counting and merging in every piece of the text as often as it occurs."""
    pieces = [list(piece.encode("utf-8")) for piece in pretokenize(text)]
    merges: list[Pair] = []
    while 256 + len(merges) < vocab_size:
        counts: dict[Pair, int] = {}
        for piece in pieces:
            for pair in pairwise(piece):
                counts[pair] = counts.get(pair, 0) + 1
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pieces = [plain_merge(piece, best, 256 + len(merges)) for piece in pieces]
        merges.append(best)
    return merges


def plain_merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    merged, place = [], 0
    while place < len(ids):
        if place < len(ids) - 1 and ids[place] == pair[0] and ids[place + 1] == pair[1]:
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


def plain_encode(text: str, merges: dict[Pair, int]) -> list[int]:
    """The ids, one merge after the other in each piece."""
    ids: list[int] = []
    for piece in pretokenize(text):
        parts = list(piece.encode("utf-8"))
        while len(parts) > 1:
            pair = min(pairwise(parts), key=lambda pair: merges.get(pair, float("inf")))
            if pair not in merges:
                break
            parts = plain_merge(parts, pair, merges[pair])
        ids += parts
    return ids


def their_train(text: str, vocab_size: int) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def with_ranks(ranks: dict[bytes, int], merges: Sequence[Pair]) -> tokenizers.Tokenizer:
    """A tokenizer of the library `tokenizers` with these very ids."""
    characters = byte_characters()
    names = {token: "".join(characters[byte] for byte in token) for token in ranks}
    tokens = {rank: token for token, rank in ranks.items()}
    pairs = [(names[tokens[left]], names[tokens[right]]) for left, right in merges]
    tokenizer = tokenizers.Tokenizer(models.BPE({names[token]: rank for token, rank in ranks.items()}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def alternating(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each, in rounds in which each has its turn."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def trainers_of(text: str) -> dict[str, Callable[[], object]]:
    return {
        "reference": lambda: train_bpe(text, VOCABULARY),
        "plain loops": lambda: plain_train(text, VOCABULARY),
        "tokenizers": lambda: their_train(text, VOCABULARY),
    }


def encoders_of(text: str) -> dict[str, Callable[[], object]]:
    ranks, merges = train_bpe(text, VOCABULARY)
    ours = BPETokenizer(ranks)
    numbers = {pair: 256 + place for place, pair in enumerate(merges)}
    fast = tiktoken.Encoding("ours", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    other = with_ranks(ranks, merges)
    ids = ours.encode(text)
    assert plain_encode(text, numbers) == fast.encode_ordinary(text) == other.encode(text).ids == ids
    return {
        "reference": lambda: ours.encode(text),
        "plain loops": lambda: plain_encode(text, numbers),
        "tiktoken": lambda: fast.encode_ordinary(text),
        "tokenizers": lambda: other.encode(text),
    }


def print_encodings(rounds: int) -> None:
    text = STORY.read_text(encoding="utf-8")
    print(f"\nByte pair encoding of {len(text):,} characters.\n")
    print("| what | ms | × the reference |\n|---|---|---|")
    for what, contenders in (
        (f"learn {VOCABULARY - 256} merges", trainers_of(text)),
        ("encode", encoders_of(text)),
    ):
        found = alternating(contenders, rounds)
        for name, seconds in found.items():
            print(f"| {what}: {name} | {seconds * 1000:.1f} | {seconds / found['reference']:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    print_encodings(parser.parse_args().rounds)


if __name__ == "__main__":
    main()
