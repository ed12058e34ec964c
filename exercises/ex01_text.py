r"""Text: from characters to numbers, and back.

You need: Python's str, list and dict, `sorted` and `enumerate`. Nothing of torch.

WHY
A neural network calculates, and it cannot calculate with letters. So text is cut into small pieces, the
*tokens*, and each distinct token gets a number, its *id*. The model sees ids and gives back ids. A *tokenizer*
translates in both directions.

HOW
    text ── clean_text ──► text ── split_text ──► tokens ── vocabulary ──► ids
    ids ── vocabulary, reversed ──► tokens ── join ──► text

Cleaning. The same word can be written in several ways: é is one character, or an e and an accent; a quote is
straight or curly. To a computer these are different words. Each would get an id of its own, and the model
would have to learn the word twice. `unicodedata.normalize` makes the two é one.

Splitting. A regular expression describes what lies *between* the words: white space and punctuation.
`re.split` throws these separators away, unless its pattern is in parentheses. Punctuation has a meaning, so it
should be kept. White space and empty pieces should not.

    re.split(r",|\s", "No, no")         "No"  ""  "no"
    re.split(r"(,|\s)", "No, no")       "No"  ","  ""  " "  "no"

Numbering. The vocabulary is a dict from token to id. Tokens are sorted before they are numbered, because a
Python set may come in another order in the next process. A model that was trained with one numbering would
read nonsense with another.

TWO TOKENS THAT ARE NOT WORDS
    <|endoftext|>   between two documents, so that the model knows that they have nothing to do with each other
    <|unk|>         in place of every word that the vocabulary does not hold

A SMALL EXAMPLE
The text is: No, no--yes. Yes

    tokens      No  ,  no  --  yes  .  Yes
    sorted      ,   --  .   No  Yes  no  yes  <|endoftext|>  <|unk|>
    id          0   1   2   3   4    5   6    7              8

In Unicode these punctuation marks come before the capitals, and the capitals before lowercase letters. Now a
new text:

    encode("Yes, maybe.")    Yes is 4, the comma 0, "maybe" is unknown, so 8, the full stop 2: [4, 0, 8, 2]
    decode([4, 0, 8, 2])     "Yes, <|unk|>."

WHAT IS LOST
`<|unk|>` does not say which word it replaced. White space is lost as well, so decoding gives a tidy text and
not the very same one. And "walk" and "walked" have nothing in common. Exercises 2 and 3 build byte pair
encoding, which GPT-2 uses and which has none of these faults.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 2.2 to 2.4. The book does not clean its text,
as it reads a single story. Its tokenizer finds a special only between spaces or punctuation marks, and decodes
without a space before ( and ". Here a special is found anywhere, and ( and " keep the space before them.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each holds finished tokenizers, and this one should be yours.

TWO QUESTIONS (the answers are at the end of this file)
1. The vocabulary holds "walk" and "!". What does a model see of "walk!", and what of "walked!"?
2. Which of the two holds for every text, and for all ids of a vocabulary like the one above:
   decode(encode(text)) == text, or encode(decode(ids)) == ids?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex01` makes a vocabulary of one story, about a ferry and a bakery.
It has 7,000 words of everyday English. Then a sentence of 15 words about the stars is encoded. Predict first:
how many of the 15 will be unknown? Then try your own: `python3 -m grader show ex01 "Your own sentence."`

Read on: Python's documentation of `re.split`. Unicode Standard Annex 15 on normalization forms.
"""

import re
import unicodedata

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"


def clean_text(text: str) -> str:
    r"""Write the same text in one way only.

    Arguments
        text  any text, possibly empty
    Returns
        str, after four rules, in this order:

        1. Unicode's normal form NFC: a letter and its accent become one character.
        2. Six typographic characters become plain:

               ‘ ’ become '     “ ” become "     — (em dash) becomes --     … becomes ...

        3. The line ends \r\n and \r become \n.
        4. White space at both ends of the text is removed.

    Everything else stays.

    Example: clean_text(" “Cafe\u0301”\r\n\r\nopen  now… ") is "\"Café\"\n\nopen  now...".

    Fine print
        The six are U+2018, U+2019, U+201C, U+201D, U+2014 and U+2026. An en dash stays, and so does "x²", which
        the form NFKC would turn into "x2".

    Source: Unicode Standard Annex 15 for rule 1; the other rules are this project's.
    """
    raise NotImplementedError


def split_text(text: str) -> list[str]:
    """Cut a text into words and punctuation.

    Arguments
        text  any text; it should not be cleaned here
    Returns
        list of str, the tokens in the order of the text; none is empty

    What separates:

        white space                 is dropped
        , . : ; ? _ ! " ( ) '       each is a token, also within a word
        --, two hyphens             one token
        <|endoftext|> and <|unk|>   each is one token

    Everything else is part of a word: "well-known" is one token.

    Example: split_text("Isn't it (really) so--yes?") is
    ["Isn", "'", "t", "it", "(", "really", ")", "so", "--", "yes", "?"].

    Fine print
        "a---b" gives a -- -b, and "end<|endoftext|>Start" gives three tokens. White space is what
        `str.isspace()` says, the same as in the patterns of `re`.

    Source: Raschka, section 2.2.
    """
    raise NotImplementedError


def build_vocab(tokens: list[str]) -> dict[str, int]:
    """Give every distinct token an id.

    Arguments
        tokens  list of str, with repetitions, in any order, possibly none
    Returns
        dict from token to id

    The n distinct tokens should get the ids 0 … n−1, in the order of `sorted`. Then come the two specials:
    END_OF_TEXT gets the id n, and UNKNOWN n + 1.

    Example: build_vocab(["b", "a", "b"]) is {"a": 0, "b": 1, "<|endoftext|>": 2, "<|unk|>": 3}.

    Fine print
        A special that is among the tokens is not numbered there: it only comes at the end.

    Source: Raschka, sections 2.3 and 2.4.
    """
    raise NotImplementedError


class SimpleTokenizer:
    """Turns text into ids and ids into text, by a fixed vocabulary.

    Arguments
        vocab  dict from token to id

    Fine print
        The ids are distinct and not negative, in any order, perhaps with gaps: they need not come from
        `build_vocab`.

    Source: Raschka, section 2.4.
    """

    def __init__(self, vocab: dict[str, int]) -> None:
        """Keep the vocabulary, for both directions.

        Fine print
            ValueError: vocab does not hold UNKNOWN. The message should name it, <|unk|>.
        """
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """The ids of the tokens that `split_text` finds.

        Arguments
            text  any text; it should be split as it is, not cleaned
        Returns
            list of int, one for each token

        A token that the vocabulary does not hold should get the id of UNKNOWN.

        Example: with the vocabulary of the lesson, encode("no--<|endoftext|>No!") is [5, 1, 7, 3, 8].

        Fine print
            Upper and lower case count: where "the" is known, "The" may not be.
        """
        raise NotImplementedError

    def decode(self, ids: list[int]) -> str:
        """The text that belongs to these ids.

        Arguments
            ids  list of int, possibly empty
        Returns
            str: the tokens with one space between two of them, but none before a token that is one of these eight:

                , . : ; ? ! ) '

        Example: the tokens  don ' t ( ever ) say " no " .  decode to  don' t ( ever) say " no ".

        Fine print
            The specials are written out like any token.
            KeyError: an id that the vocabulary does not hold, including a negative one. The message should name it.
        """
        raise NotImplementedError


# ANSWERS
# 1. Of "walk!" it sees both tokens. Of "walked!" it sees <|unk|> and "!": that the word begins with "walk" is lost.
# 2. The second: between two tokens that would run into one, decode leaves a space. The first fails with an unknown
#    word, a line end, two spaces in a row, or a ( in front of its word.
