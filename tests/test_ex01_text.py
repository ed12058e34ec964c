"""Probes of ex01: a first tokenizer. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

LESSON = "No, no--yes. Yes"
SIGNS = [",", ".", ":", ";", "?", "_", "!", '"', "(", ")", "'"]
SPECIALS = ["<|endoftext|>", "<|unk|>"]
WHITE_SPACE = [chr(code) for code in range(0x3001) if chr(code).isspace()]
WORDS = ["the", "The", "cat", "Zebra", "apple", "Été", "été", "12", "-", "well-known", "мир", "$5", "🙂"]


def mixed_text(draw, pieces):
    """Words, signs and specials, now with white space between them and now without."""
    gaps = ["", "", " ", "\n", "  "]
    chosen = (draw.choice([*WORDS, *SIGNS, *SPECIALS, "--", draw.word()]) for _ in range(pieces))
    return "".join(piece + draw.choice(gaps) for piece in chosen)


def shuffled_vocab(draw, tokens):
    """These tokens and the specials with distinct ids in no order, with gaps. The first token has id 0."""
    ids = draw.sample(range(1, 1000), len(tokens) + 1)
    return dict(draw.shuffled([(tokens[0], 0), *zip([*tokens[1:], *SPECIALS], ids, strict=True)]))


def test_letters_and_accents_are_composed(subject, draw, observe):
    """Unicode's normal form NFC: a letter and its accent become one character."""
    observe("a letter and its accent", subject.clean_text("Cafe\u0301 a\u0308o\u0308 E\u0301te\u0301"))
    observe("a composed letter", subject.clean_text("Café naïve"))
    observe("more accents", subject.clean_text("n\u0303 c\u0327 A\u030a u\u0308\u0304"))
    observe("a syllable of Hangul in three parts", subject.clean_text("\u1112\u1161\u11ab"))


def test_typographic_characters_become_plain(subject, draw, observe):
    """Six typographic characters become plain: ‘ ’ become '  “ ” become "  — (em dash) becomes --  … becomes ..."""
    observe("single quotes", subject.clean_text("‘It’s’"))
    observe("double quotes", subject.clean_text("he said “no”"))
    observe("em dash", subject.clean_text("well—I — never"))
    observe("ellipsis", subject.clean_text("and so…on"))


def test_line_ends_become_the_same(subject, draw, observe):
    r"""The line ends \r\n and \r become \n."""
    observe("\\n", subject.clean_text("one\ntwo\nthree"))
    observe("\\r\\n", subject.clean_text("one\r\ntwo\r\nthree"))
    observe("\\r alone", subject.clean_text("one\rtwo\rthree"))
    observe("blank lines of \\r\\n", subject.clean_text("one\r\n\r\ntwo\r\n\r\n\r\nthree"))
    observe("blank lines of \\r", subject.clean_text("one\r\rtwo\r\r\rthree"))
    observe("all of them", subject.clean_text("one\ntwo\r\nthree\rfour\n\r\nfive\n\rsix"))


def test_both_ends_are_bare(subject, draw, observe):
    """White space at both ends of the text is removed."""
    observe("at the beginning", subject.clean_text(" \n\t\u00a0one"))
    observe("at the end", subject.clean_text("one \n\n\t"))
    observe("line ends only", subject.clean_text("\n\none\n"))
    observe("nothing but white space", subject.clean_text(" \r\n\t "))
    observe("empty", subject.clean_text(""))


def test_white_space_within_a_text_stays(subject, draw, observe):
    """Everything else stays."""
    observe("spaces and tabs", subject.clean_text("if x:\n    y  =\t1 \n\tz"))
    observe("blank lines", subject.clean_text("one\n\ntwo\n\n\n \nthree"))
    observe("form feed, line separator, non-breaking space", subject.clean_text("a\fb\u2028c\u00a0d"))


def test_other_characters_stay(subject, draw, observe):
    """Everything else stays."""
    observe("several alphabets", subject.clean_text("Straße МИР 日本 שלום 🙂 👩\u200d👧 $5 A_b"))
    observe("plain signs", subject.clean_text('"Don\'t" a-b a--b a---b ... <|endoftext|>'))
    observe("rows of plain signs", subject.clean_text("a.... b..... c----d -----e ???? !!!!"))


def test_clean_text_on_everything_at_once(subject, draw, observe):
    """Write the same text in one way only."""
    observe("docstring", subject.clean_text(" “Cafe\u0301”\r\n\r\nopen  now… "))
    odd = ["“", "”", "’", "—", "…", "\r\n", "\r", " \n", "\t", "\u00a0", "e\u0301", "Word", "two"]
    for number in range(3):
        pieces = [draw.choice(odd) + draw.text(2) for _ in range(20)]
        observe(f"text {number}", subject.clean_text("".join(pieces)))


def test_lesson_example(subject, draw, observe):
    """Cut a text into words and punctuation."""
    observe("tokens", subject.split_text(LESSON))
    observe("tokens of the docstring", subject.split_text("Isn't it (really) so--yes?"))


def test_every_sign_is_a_token(subject, draw, observe):
    """, . : ; ? _ ! " ( ) '  each is a token, also within a word"""
    for sign in SIGNS:
        text = f"a{sign}b {sign}c d{sign} {sign} {sign}{sign}"
        observe(f"{sign} within, beside and alone", subject.split_text(text))


def test_two_hyphens_are_one_token(subject, draw, observe):
    """--, two hyphens  one token"""
    observe("one, two and four hyphens", [subject.split_text("a" + "-" * count + "b") for count in (1, 2, 4)])
    observe("with spaces", subject.split_text("a -- b- -c --d e-- -"))


def test_white_space_separates_and_is_dropped(subject, draw, observe):
    """white space  is dropped"""
    observe("space, tab, line ends", subject.split_text("a b\tc\nd\r\ne"))
    observe("runs", subject.split_text("  a  b \n\n c.\n d\t"))
    observe("nothing but white space", subject.split_text(" \n\t "))
    observe("empty", subject.split_text(""))


def test_everything_else_is_part_of_a_word(subject, draw, observe):
    """Everything else is part of a word: "well-known" is one token."""
    observe("signs", subject.split_text("well-known B&B $5 100% a/b “no” it’s a|b <b> [c] x² 1–2 …"))
    observe("invisible characters", subject.split_text("\ufeffa\u200bb c\u00add ¿e? f\x07g"))
    observe("letters", subject.split_text("It It it café e\u0301 日本 мир 🙂 👩\u200d👧"))


def test_specials_are_whole(subject, draw, observe):
    """<|endoftext|> and <|unk|>  each is one token"""
    observe("with spaces", subject.split_text("one. <|endoftext|> Two <|unk|> three"))
    observe("without", subject.split_text("one<|endoftext|>Two<|unk|>three.<|endoftext|><|unk|>--<|unk|>"))
    observe("several in one word", subject.split_text("a<|unk|>b<|unk|>c<|endoftext|>d<|endoftext|>e"))
    observe("only like a special", subject.split_text("a<|end|>b <|endoftext| < endoftext > unk c<|UNK|>d"))
    observe("the names alone", subject.split_text("ENDOFTEXT endoftext UNK unk END_OF_TEXT <unk>"))


def test_split_text_on_mixed_texts(subject, draw, observe):
    """Cut a text into words and punctuation."""
    for number in range(4):
        observe(f"text {number}", subject.split_text(mixed_text(draw, 40)))
        observe(f"text {number} of several alphabets", subject.split_text(draw.text(30)))


def test_lesson_vocabulary(subject, draw, observe):
    """The n distinct tokens should get the ids 0 … n−1, in the order of `sorted`. Then come the two specials:
    END_OF_TEXT gets the id n, and UNKNOWN n + 1.
    """
    observe("vocabulary", subject.build_vocab(["No", ",", "no", "--", "yes", ".", "Yes"]))


def test_ids_follow_the_sorted_tokens(subject, draw, observe):
    """The n distinct tokens should get the ids 0 … n−1, in the order of `sorted`."""
    tokens = [*WORDS, *SIGNS, "--", *(draw.word() for _ in range(80))]
    tokens += draw.sample(tokens, 40)
    tokens = draw.shuffled(tokens)
    observe("vocabulary", subject.build_vocab(tokens))
    observe("vocabulary of the same tokens in another order", subject.build_vocab(draw.shuffled(tokens)))


def test_every_token_counts_as_it_is(subject, draw, observe):
    """Give every distinct token an id."""
    tokens = draw.shuffled(["end", "unk", "|", "<|end|>", "New York", "e\u0301", "é", "a", "A", "x²", "x2", "-"])
    observe("vocabulary", subject.build_vocab(tokens))


def test_small_vocabularies(subject, draw, observe):
    """tokens  list of str, with repetitions, in any order, possibly none"""
    observe("no token", subject.build_vocab([]))
    observe("one token", subject.build_vocab(["word"]))
    observe("one token, thrice", subject.build_vocab(["word", "word", "word"]))


def test_lesson_tokenizer(subject, draw, observe):
    """Turns text into ids and ids into text, by a fixed vocabulary."""
    tokens = [",", "--", ".", "No", "Yes", "no", "yes", *SPECIALS]
    tokenizer = subject.SimpleTokenizer({token: number for number, token in enumerate(tokens)})
    observe("encoded", tokenizer.encode("Yes, maybe."))
    observe("decoded", tokenizer.decode([4, 0, 8, 2]))
    observe("encoded, with a special", tokenizer.encode("no--<|endoftext|>No!"))
    tokens = ["don", "'", "t", "(", "ever", ")", "say", '"', "no", '"', "."]
    vocab = subject.build_vocab(tokens)
    observe("decoded, the docstring's example", subject.SimpleTokenizer(vocab).decode([vocab[t] for t in tokens]))


def test_encode_gives_the_ids_of_the_vocabulary(subject, draw, observe):
    """The ids of the tokens that `split_text` finds."""
    tokens = [*draw.shuffled(WORDS), *SIGNS, "--"]
    tokenizer = subject.SimpleTokenizer(shuffled_vocab(draw, tokens))
    observe("every token", tokenizer.encode(" ".join(draw.shuffled(tokens))))
    observe("without spaces", tokenizer.encode("the,cat--The.(apple);'12'?_мир_!"))
    observe("no token", [tokenizer.encode(""), tokenizer.encode(" \n ")])


def test_unknown_words_become_unk(subject, draw, observe):
    """A token that the vocabulary does not hold should get the id of UNKNOWN."""
    tokenizer = subject.SimpleTokenizer(shuffled_vocab(draw, [*draw.shuffled(WORDS), ",", "."]))
    ids = tokenizer.encode("the dog, a bird. apples; well-known well")
    observe("unknown words", ids)
    ids.append(1)
    observe("nothing known", tokenizer.encode("dog dog bird"))
    observe("the same text again", tokenizer.encode("the dog, a bird. apples; well-known well"))


def test_specials_in_the_text_get_their_ids(subject, draw, observe):
    """The ids of the tokens that `split_text` finds."""
    tokenizer = subject.SimpleTokenizer(shuffled_vocab(draw, [*draw.shuffled(WORDS), "."]))
    observe("with spaces", tokenizer.encode("the cat. <|endoftext|> The apple <|unk|> cat"))
    observe("without spaces", tokenizer.encode("the cat.<|endoftext|>The apple<|unk|>cat<|endoftext|>"))


def test_encode_takes_the_text_as_it_is(subject, draw, observe):
    """text  any text; it should be split as it is, not cleaned"""
    tokens = ["the", "“the”", "e\u0301te", "été", "cat—the", "cat", '"', "--"]
    tokenizer = subject.SimpleTokenizer(shuffled_vocab(draw, tokens))
    observe("ids", tokenizer.encode('“the” cat—the e\u0301te été "cat"--the'))


def test_decode_joins_with_spaces(subject, draw, observe):
    """the tokens with one space between two of them, but none before a token that is one of these eight: , . : ; ?
    ! ) '
    """
    vocab = shuffled_vocab(draw, [*WORDS, *SIGNS, "--"])
    tokenizer = subject.SimpleTokenizer(vocab)
    observe("words", tokenizer.decode([vocab[word] for word in draw.sample(WORDS, 9)]))
    observe("one token", tokenizer.decode([vocab["мир"]]))
    observe("none", tokenizer.decode([]))


def test_decode_puts_no_space_before_punctuation(subject, draw, observe):
    """the tokens with one space between two of them, but none before a token that is one of these eight: , . : ; ?
    ! ) '
    """
    vocab = shuffled_vocab(draw, [*WORDS, *SIGNS, "--"])
    tokenizer = subject.SimpleTokenizer(vocab)
    for sign in [*SIGNS, "--", "-"]:
        observe(f"{sign} between words", tokenizer.decode([vocab["cat"], vocab[sign], vocab["the"]]))
    for sign in [".", "!", "'"]:
        observe(f"{sign} three times", tokenizer.decode([vocab["cat"], *[vocab[sign]] * 3, vocab["the"]]))
        observe(f"{sign} first", tokenizer.decode([vocab[sign], vocab["the"]]))
        observe(f"{sign} last", tokenizer.decode([vocab["the"], vocab[sign]]))
    tokens = draw.shuffled([*WORDS, *SIGNS, *SIGNS, "--", "--"])
    observe("a mixture", tokenizer.decode([vocab[token] for token in tokens]))


def test_decoded_text_encodes_to_the_same_ids(subject, draw, observe):
    """Turns text into ids and ids into text, by a fixed vocabulary."""
    vocab = shuffled_vocab(draw, [*WORDS, *SIGNS, "--"])
    tokenizer = subject.SimpleTokenizer(vocab)
    ids = [vocab[draw.choice(list(vocab))] for _ in range(60)]
    observe("text", tokenizer.decode(ids))
    observe("ids", tokenizer.encode(tokenizer.decode(ids)))


def test_two_tokenizers_do_not_share_a_vocabulary(subject, draw, observe):
    """Keep the vocabulary, for both directions."""
    first = subject.SimpleTokenizer({"a": 0, "b": 1, "<|unk|>": 2})
    second = subject.SimpleTokenizer({"b": 0, "c": 1, "<|unk|>": 3})
    observe("ids", [first.encode("a b c"), second.encode("a b c")])
    observe("texts", [first.decode([0, 1, 2]), second.decode([0, 1, 3])])


def test_all_parts_together(subject, draw, observe):
    """Turns text into ids and ids into text, by a fixed vocabulary."""
    tokenizer_of = subject.SimpleTokenizer
    text = subject.clean_text("“Who sat?” asked the dog—nobody knew.\r\n\r\nIt’s (still) a riddle…")
    tokens = subject.split_text(text)
    vocab = subject.build_vocab(tokens)
    tokenizer = tokenizer_of(vocab)
    observe("vocabulary", vocab)
    observe("text and back", tokenizer.decode(tokenizer.encode(text)))
    observe("another text", tokenizer.encode("Who knew the cat? <|endoftext|> It's (still) nobody."))


# The fine print.


def test_characters_that_only_resemble_others_stay(subject, draw, observe):
    """The six are U+2018, U+2019, U+201C, U+201D, U+2014 and U+2026. An en dash stays, and so does "x²", which the
    form NFKC would turn into "x2".
    """
    observe("x², ½ and the ligature ﬁ", subject.clean_text("x² ½ ﬁn Å"))
    observe("en dash, guillemets, low quotes", subject.clean_text("1–2 «a» „b‚"))
    observe("other quotes, dashes and a minus", subject.clean_text("‛a‛ 5′ 6″ b―c d‐e f‑g −1 `h´"))
    observe("zero-width space, byte order mark, soft hyphen", subject.clean_text("\ufeffa\u200bb c\u00add"))
    observe("a control character", subject.clean_text("a\x07b"))


def test_of_three_hyphens_the_third_is_left(subject, draw, observe):
    """ "a---b" gives a -- -b, and "end<|endoftext|>Start" gives three tokens."""
    observe("three and five hyphens", [subject.split_text("a" + "-" * count + "b") for count in (3, 5)])


def test_all_white_space_separates(subject, draw, observe):
    """White space is what `str.isspace()` says, the same as in the patterns of `re`."""
    observe("non-breaking space, form feed, em space", subject.split_text("a\u00a0b\fc\u2003d"))
    for white in WHITE_SPACE:
        observe(f"a U+{ord(white):04X} b", subject.split_text(f"a{white}b"))


def test_specials_come_last_and_once(subject, draw, observe):
    """A special that is among the tokens is not numbered there: it only comes at the end."""
    tokens = draw.shuffled([*WORDS, *SIGNS])
    observe("end of text among the tokens", subject.build_vocab(draw.shuffled([*tokens, "<|endoftext|>"])))
    observe("unknown among the tokens", subject.build_vocab(draw.shuffled([*tokens, "<|unk|>"])))
    observe("both, twice", subject.build_vocab(draw.shuffled([*tokens, *SPECIALS, *SPECIALS])))
    observe("nothing but specials", subject.build_vocab(["<|unk|>", "<|endoftext|>"]))


def test_build_vocab_leaves_its_tokens_alone(subject, draw, observe):
    """A call must not change its inputs."""
    tokens = draw.shuffled([*WORDS, *WORDS, *SIGNS, "<|unk|>"])
    observe("number of ids", len(subject.build_vocab(tokens)))
    observe("tokens afterwards", tokens)


def test_upper_and_lower_case_count(subject, draw, observe):
    """Upper and lower case count: where "the" is known, "The" may not be."""
    tokenizer = subject.SimpleTokenizer(shuffled_vocab(draw, [*draw.shuffled(WORDS), ",", "."]))
    observe("ids", tokenizer.encode("the cat, The CAT. Cat zebra Zebra Apple apple"))


def test_vocabulary_without_unk_is_refused(subject, draw, observe):
    """ValueError: vocab does not hold UNKNOWN. The message should name it, <|unk|>."""
    for vocab in ({"a": 0, "<|endoftext|>": 1}, {}):
        observe.outcome(f"vocabulary of {len(vocab)}", subject.SimpleTokenizer, vocab, mentions=("<|unk|>",))
    tokenizer = subject.SimpleTokenizer({"<|unk|>": 0})
    observe("nothing but <|unk|>", [tokenizer.encode("a b"), tokenizer.decode([0, 0])])


def test_the_vocabulary_is_not_changed(subject, draw, observe):
    """A call must not change its inputs."""
    vocab = shuffled_vocab(draw, WORDS)
    tokenizer = subject.SimpleTokenizer(vocab)
    tokenizer.decode(tokenizer.encode("the dog <|endoftext|> barks; the cat?"))
    observe("vocabulary afterwards", vocab)
    small = {"a": 0, "<|unk|>": 1}
    observe("end of text is unknown", subject.SimpleTokenizer(small).encode("a<|endoftext|>b"))
    observe("the small vocabulary afterwards", small)


def test_specials_are_written_out(subject, draw, observe):
    """The specials are written out like any token."""
    vocab = shuffled_vocab(draw, [*WORDS, *SIGNS, "--"])
    tokenizer = subject.SimpleTokenizer(vocab)
    observe("text", tokenizer.decode([vocab[token] for token in ["cat", *SPECIALS, "the", *SPECIALS]]))


def test_unknown_ids_are_refused(subject, draw, observe):
    """KeyError: an id that the vocabulary does not hold, including a negative one. The message should name it."""
    tokenizer = subject.SimpleTokenizer({"b": 0, "a": 1, "<|unk|>": 2, "<|endoftext|>": 3, "c": 5})
    observe.outcome("the largest id", tokenizer.decode, [5])
    observe.outcome("one larger", tokenizer.decode, [0, 6], mentions=("6",))
    observe.outcome("an id in a gap", tokenizer.decode, [1, 4, 0], mentions=("4",))
    observe.outcome("a negative id", tokenizer.decode, [0, -1], mentions=("-1",))
