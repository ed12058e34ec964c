"""What to train on: the story in `data/`, Python's own manual, a file of yours, or a text behind a URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError, UsageError
from scripts.entry import ROOT, CannotYet
from scripts.inputs.rows import read_text
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts

# How a sample begins, where the text is one of ours.
PROMPTS = {"story": "Ruth looked at", "manual": "The following"}
STORY = ROOT / "data" / "story.txt"
DOWNLOADS = ROOT / "runs" / "downloads"
# The most characters of a text that a sample begins with: three words may be a whole page.
PROMPT_LENGTH = 60


@dataclass(frozen=True)
class Corpus:
    """Where a text comes from: exactly one of the ways. `sha256` is what a download has to match."""

    name: str = "story"
    file: str | None = None
    url: str | None = None
    sha256: str | None = None

    @property
    def title(self) -> str:
        """A word for it, for instance in the name of a run."""
        if self.url:
            return "download"
        return Path(self.file).stem if self.file else self.name


def read_corpus(corpus: Corpus, parts: Parts) -> str:
    """The text, cleaned by your `clean_text`. There may be an end of text between documents.

    Raises `UsageError` for a file that is not there, is not UTF-8 text or is empty, and `GraderError` for a
    URL that gives no text.
    """
    text: str = parts.text.clean_text(_raw(corpus, parts))
    if not text.replace(END_OF_TEXT, "").strip():
        raise UsageError(f"{corpus.file or corpus.url or corpus.name} holds no text.")
    return text


def prompt_for(corpus: Corpus, text: str) -> str:
    """What a sample begins with: words that this text may well hold."""
    is_ours = not corpus.file and not corpus.url
    if is_ours:
        return PROMPTS[corpus.name]
    return " ".join(text.replace(END_OF_TEXT, " ").split()[:3])[:PROMPT_LENGTH]


def checksum(text: str) -> str:
    """What tells whether a resumed run still reads the same text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _raw(corpus: Corpus, parts: Parts) -> str:
    if corpus.url:
        cache = DOWNLOADS / f"{hashlib.sha256(corpus.url.encode()).hexdigest()[:16]}.txt"
        try:
            text: str = parts.data.fetch_text(corpus.url, cache, corpus.sha256)
        except (OSError, ValueError) as error:
            raise GraderError(str(error)) from error
        except NotImplementedError as error:
            raise CannotYet(
                "--url needs the function `fetch_text` of ex04, which is still to be written."
            ) from error
        return text
    if corpus.file:
        return read_text(Path(corpus.file))
    if corpus.name == "manual":
        from pydoc_data.topics import topics

        return "\n\n".join(topics[name] for name in sorted(topics))
    return read_text(STORY)
