r"""Text: from characters to numbers, and back.

WHY
A neural network calculates. It cannot add up letters. So text is cut into small pieces, the *tokens*, and
each distinct token gets a number, its *id*. The model only ever sees ids. What comes out of it are ids
again, and somebody has to turn them into text. The thing that does both is a tokenizer.

HOW
    text ──clean_text──► text ──split_text──► tokens ──vocabulary──► ids
    ids ──vocabulary, the other way──► tokens ──joined──► text

Cleaning comes first, because the same word can be written in several ways: é is one character, or an e and
an accent; a quote is straight or curly. To a computer these are different words. Each would get an id of
its own, and the model would have to learn twice.

Splitting uses a regular expression that matches what lies *between* words: white space and punctuation.
`re.split` throws the separators away, unless the pattern has a pair of capturing parentheses. With them it
returns the separators too. Punctuation carries meaning, so we keep it.

The vocabulary is a dict from token to id. The tokens are sorted before they are numbered. A Python set has
no order of its own: with the same text it may come in another order in the next process. A model trained
with one numbering reads nonsense with another.

TWO TOKENS THAT ARE NOT WORDS
    <|endoftext|>   stands between two documents, so that the model knows that they have nothing to do with
                    each other
    <|unk|>         stands for every word that the vocabulary does not hold

A SMALL EXAMPLE
The text is: No, no--yes. Yes

    tokens      No  ,  no  --  yes  .  Yes
    sorted      ,   --  .   No  Yes  no  yes  <|endoftext|>  <|unk|>
    id          0   1   2   3   4    5   6    7              8

Signs come before capitals, capitals before small letters: that is their order in Unicode. Now a new text:

    encode("Yes, maybe.")    Yes is 4, the comma 0, "maybe" is unknown, so 8, the full stop 2: [4, 0, 8, 2]
    decode([4, 0, 8, 2])     "Yes, <|unk|>."

WHAT IT DOES NOT DO
A word that was not in the first text is lost: `<|unk|>` does not say which one it was. White space is lost as
well, so decoding gives a tidy text and not the very same one. "walk" and "walked" have nothing in common.
Exercises 2 and 3 build byte pair encoding, which has none of these faults. GPT-2 uses that one.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each holds finished tokenizers, and this one is to be yours.

Read on: Raschka, "Build a Large Language Model (From Scratch)", sections 2.2 to 2.4. Python's documentation
of `re.split`. Unicode Standard Annex 15 on normalisation forms.
"""

import re
import unicodedata

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"


def clean_text(text: str) -> str:
    r"""Write the same text in one way only.

    Arguments
        text  any text, also empty
    Returns
        str, after these rules, applied in this order:

        1. Unicode goes to its normal form NFC: a letter and its accent become one character.
           "e" followed by U+0301 becomes "é". (Not NFKC: "x²" stays "x²".)
        2. Six typographic characters become plain ones. Every other character stays, an en dash too.
           ‘ (U+2018) and ’ (U+2019) become '        “ (U+201C) and ” (U+201D) become "
           — (U+2014, the em dash) becomes --        … (U+2026) becomes ...
           "“It’s—well…”" becomes "\"It's--well...\""
        3. The line ends \r\n and \r become \n. "a\r\nb\rc" becomes "a\nb\nc".
        4. A run of other white space becomes one space. White space is every character for which
           `str.isspace()` is true. It includes the tab, the form feed \f and the non-breaking space U+00A0.
           "a \t b\u00a0c\fd" becomes "a b c d".
        5. No line begins or ends with a space. "a  \n  b" becomes "a\nb".
        6. At most one blank line stands between two lines. A line of nothing but white space is blank.
           "a\n\n \n\nb" becomes "a\n\nb". "a\n\nb" and "a\nb" stay as they are.
        7. White space at both ends of the text goes. "\n a \n" becomes "a". A text of nothing but white
           space becomes "".

    Capitals stay capitals. To clean a clean text changes nothing.

    Example: clean_text(" “Cafe\u0301”\r\n\r\n\r\nopen\tnow ") is "\"Café\"\n\nopen now".

    Source: Unicode Standard Annex 15 for rule 1; the other rules are this project's.
    """
    raise NotImplementedError


def split_text(text: str) -> list[str]:
    """Cut a text into words and punctuation.

    Arguments
        text  any text; it is not cleaned here
    Returns
        list of str, the tokens in the order of the text. None is empty, none holds white space.

    What separates, looked at from left to right:

        white space            separates and is dropped: every character for which `str.isspace()` is true,
                               such as space, tab, line end
        , . : ; ? _ ! " ( ) '  each is a token of its own, also within a word:
                               "don't" gives don ' t, and "a_b..." gives a _ b . . .
        --                     two hyphens are one token. Of three, the first two are the token and the third
                               belongs to what follows: "a---b" gives a -- -b. Four are two tokens.
        <|endoftext|>, <|unk|> each is one token wherever it stands, also without spaces around it:
                               "end<|endoftext|>Start" gives end <|endoftext|> Start

    Everything else is part of a word: a single hyphen, digits, capitals, $ and %, a curly quote. So
    "well-known" is one token. `split_text("")` is [].

    Example: split_text("Well--is it (really) so?") is
    ["Well", "--", "is", "it", "(", "really", ")", "so", "?"].

    Source: Raschka, section 2.2; that the two specials stay whole anywhere is this project's addition.
    """
    raise NotImplementedError


def build_vocab(tokens: list[str]) -> dict[str, int]:
    """Give every distinct token an id.

    Arguments
        tokens  list of str, with repetitions, in any order, also empty; it is not changed
    Returns
        dict from token to id, an int. The n distinct tokens have the ids 0 … n−1 in sorted order, the order
        of `sorted` for strings. Then come the two specials: END_OF_TEXT has the id n, UNKNOWN n + 1.

    A special that already stands among the tokens is not counted with them. It is listed once, in its place
    at the end. The ids depend on nothing but which tokens there are: not on their order, not on the process.

    Example: build_vocab(["b", "a", "<|endoftext|>", "b"]) is
    {"a": 0, "b": 1, "<|endoftext|>": 2, "<|unk|>": 3}.

    Source: Raschka, sections 2.3 and 2.4.
    """
    raise NotImplementedError


class SimpleTokenizer:
    """Turns text into ids and ids into text, by a fixed vocabulary.

    Arguments
        vocab  dict from token to id. The ids are distinct, 0 or larger, with gaps allowed, in any order: they
               need not be those that `build_vocab` would give. Nothing here changes it, nor does encoding.

    How it keeps the vocabulary, and under which names, is its own affair.

    Source: Raschka, section 2.4.
    """

    def __init__(self, vocab: dict[str, int]) -> None:
        """Keep the vocabulary, for both directions.

        Raises
            ValueError: vocab does not hold UNKNOWN. The message names it, <|unk|>.
        """
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """The ids of the tokens that `split_text` finds.

        Arguments
            text  any text; it is split as it is, not cleaned
        Returns
            list of int, one for each token, in the order of the text; [] for a text without tokens

        A token that the vocabulary does not hold gets the id of UNKNOWN. Upper and lower case count:
        "The" does not stand for "the". A special written in the text gets its own id, as any token.

        Example: with the vocabulary of the lesson above, encode("no--<|endoftext|>No!") is [5, 1, 7, 3, 8].
        """
        raise NotImplementedError

    def decode(self, ids: list[int]) -> str:
        """The text that belongs to these ids.

        Arguments
            ids  list of int, also empty
        Returns
            str: the tokens with one space between two of them, but no space before any of these eight:

                , . : ; ? ! ) '

            All other tokens keep the space before them, also ( and _ and -- and the quote ", of which nobody
            knows here whether it opens or closes. The specials are written out like any token. [] gives "".
        Raises
            KeyError: an id that the vocabulary does not hold, a negative one too. The message names the id.

        Examples: the tokens  don ' t ( ever ) say " no " -- please . . .  decode to
        "don' t ( ever) say \" no \" -- please...". To encode that again gives the same ids.
        """
        raise NotImplementedError
