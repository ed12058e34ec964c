"""Probes of ex03: byte pair encoding. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.

In every vocabulary here the ids of the bytes are shuffled, because in GPT-2's a byte's value is not its id
either. Only the lesson's own example has them in order.
"""

LETTERS = "abcd"


def ranks_of(draw, *tokens):
    """The 256 bytes under shuffled ids 0 … 255, then these tokens, in a dictionary of random order."""
    numbers = draw.shuffled(range(256))
    ranks = {bytes([byte]): number for byte, number in enumerate(numbers)}
    for token in tokens:
        ranks[token] = len(ranks)
    return dict(draw.shuffled(list(ranks.items())))


def grown_tokens(draw, count=24):
    """Random tokens over a few letters. Each is made of two earlier ones, and in one way only."""
    tokens = [letter.encode() for letter in LETTERS]
    while len(tokens) < len(LETTERS) + count:
        token = draw.choice(tokens) + draw.choice(tokens)
        more = [*tokens, token]
        known = set(more)
        splits = [sum(t[:cut] in known and t[cut:] in known for cut in range(1, len(t))) for t in more]
        if token not in tokens and len(token) < 9 and max(splits) == 1:
            tokens = more
    return tokens[len(LETTERS) :]


def letters(draw, low, high):
    return draw.word(LETTERS, low, high)


def parts_of(found):
    """What split_at_specials gave, without the empty parts, which may be there or not."""
    return [part for part in found if part != ""]


def test_lesson_example(subject, draw, observe):
    """The ids of one piece, by merging its bytes in the order of the ranks."""
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"bc": 256, b"ab": 257, b"cd": 258, b"abcd": 259}
    for piece in (b"abc", b"abcd", b"abxcd"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_two_bytes_become_one_token(subject, draw, observe):
    """Start from single bytes."""
    ranks = ranks_of(draw, b"ab", b"ba")
    for piece in (b"ab", b"ba", b"aa", b"xab", b"abx", b"xabx"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_lowest_rank_is_merged_first(subject, draw, observe):
    """Of all neighbours that are a token when joined, join the two with the lowest rank, and among equals the
    leftmost two.
    """
    ranks = ranks_of(draw, b"bc", b"ab", b"cd", b"abx", b"ya", b"yab", b"bcd")
    for piece in (b"abc", b"abcd", b"xabcx", b"abcabc", b"yabc", b"yab", b"abx", b"yabx"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_longest_token_that_fits_is_not_the_rule(subject, draw, observe):
    """Of all neighbours that are a token when joined, join the two with the lowest rank, and among equals the
    leftmost two.
    """
    ranks = ranks_of(draw, b"er", b"ow", b"low", b"lowe", b"ne", b"new", b"st", b"est", b"wer")
    for piece in (b"lower", b"newer", b"lowest", b"newest"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))
    ranks = ranks_of(draw, b"bc", b"bcd", b"abcd", b"xa", b"ab")
    for piece in (b"abcd", b"xabcd", b"ababcdab"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_of_equal_ranks_the_leftmost_is_merged(subject, draw, observe):
    """Of all neighbours that are a token when joined, join the two with the lowest rank, and among equals the
    leftmost two.
    """
    ranks = ranks_of(draw, b"aa", b"aaaa")
    for count in (2, 3, 4, 5, 7, 8, 11):
        observe(f"ids of {count} times a", subject.bpe_encode(b"a" * count, ranks))
    observe("ids of baaab", subject.bpe_encode(b"baaab", ranks))


def test_every_occurrence_is_merged(subject, draw, observe):
    """Repeat until there are none."""
    ranks = ranks_of(draw, b"ab", b"abc", b"xy")
    for piece in (b"ababab", b"abcab", b"xyxyabxyc", b"abcabcabc"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_merges_follow_the_ranks(subject, draw, observe):
    """Of all neighbours that are a token when joined, join the two with the lowest rank, and among equals the
    leftmost two. Repeat until there are none.
    """
    for turn in range(3):
        ranks = ranks_of(draw, *grown_tokens(draw))
        pieces = [letters(draw, 2, 40).encode() for _ in range(8)]
        ids = [subject.bpe_encode(piece, ranks) for piece in pieces]
        observe(f"ids of 8 random pieces, vocabulary {turn}", ids)


def test_bytes_that_are_not_utf8(subject, draw, observe):
    """piece  any bytes, valid UTF-8 or not"""
    ranks = ranks_of(draw, b"\xff\xfe", b"\xf0\x9f", b"\x99\x82", b"\x00\x00", b"\xfe\xff\xfe")
    for piece in (b"\xff\xfe\xff", b"\x82\xf0\x9f", "🙂".encode(), b"\x00\x00\x00", b"\xc3"):
        observe(f"ids of {piece.hex()}", subject.bpe_encode(piece, ranks))


def test_a_text_is_cut_at_its_special_tokens(subject, draw, observe):
    """the special tokens in the text and the parts between them, in order"""
    specials = ["<|end|>", "<|pad|>"]
    word = letters(draw, 2, 9)
    for text in ("a<|end|>b", f"{word}<|pad|> <|end|>\n", f"<|end|>{word}", f"{word}<|end|>", "<|pad|>", "<|end|"):
        observe(f"parts of {text!r}", parts_of(subject.split_at_specials(text, specials, specials)))
    text = "<|end|><|pad|>a"
    observe("parts of two in a row", parts_of(subject.split_at_specials(text, specials, specials)))
    text = f"{word} {word}"
    observe("parts of a text without special tokens", parts_of(subject.split_at_specials(text, specials, specials)))
    observe("where there are no special tokens", parts_of(subject.split_at_specials("a<|end|>b", [], [])))
    observe("in capitals", parts_of(subject.split_at_specials("ab <|END|>ab", specials, specials)))


def test_special_tokens_that_are_not_allowed_are_refused(subject, draw, observe):
    """A special token that occurs and is not allowed should raise a ValueError that names it."""
    specials, end, pad = {"<|end|>": 400, "<|pad|>": 401}, ("<|end|>",), ("<|pad|>",)
    split = subject.split_at_specials
    observe("no special token in the text", parts_of(split("ab end <|end |> <|END|>", specials, ())))
    for text in ("<|end|>", "ab<|end|>", "<|end|>ab", "ab <|end|> ab"):
        observe.outcome(f"{text!r}, nothing allowed", split, text, specials, (), mentions=end)
    for text in ("ab<|pad|>", "<|end|><|pad|>", "<|pad|><|end|>"):
        observe.outcome(f"{text!r}, only <|end|> allowed", split, text, specials, {"<|end|>"}, mentions=pad)
    observe("only <|end|> allowed, only <|end|> there", parts_of(split("ab<|end|>", specials, {"<|end|>"})))


def test_allowed_is_a_set_a_list_or_a_tuple(subject, draw, observe):
    """allowed  those that may occur: a set, list or tuple"""
    specials = {"<|end|>": 400, "<|pad|>": 401}
    for allowed in ({"<|end|>"}, ["<|end|>"], ("<|end|>",), ["<|pad|>", "<|end|>"]):
        found = parts_of(subject.split_at_specials("ab<|end|>ab", specials, allowed))
        observe(f"allowed: {type(allowed).__name__} of {len(allowed)}", found)


def test_tokenizer_keeps_what_it_was_made_of(subject, draw, observe):
    """Keep copies of the ranks and the special tokens, and the pattern."""
    ranks = ranks_of(draw, b"ab")
    tokenizer = subject.BPETokenizer(ranks)
    observe("ranks", tokenizer.ranks)
    observe("special tokens, none given", tokenizer.special_tokens)
    observe("pattern, none given", tokenizer.pattern)
    tokenizer = subject.BPETokenizer(ranks, {"<|b|>": 300, "<|a|>": 999}, r"\w+|\W")
    observe("special tokens", tokenizer.special_tokens)
    observe("pattern", tokenizer.pattern)


def test_tokenizer_keeps_copies(subject, draw, observe):
    """ranks, special_tokens  copies of the two dictionaries: changing the originals later changes nothing here"""
    ranks, specials = ranks_of(draw, b"ab"), {"<|end|>": 400}
    tokenizer = subject.BPETokenizer(ranks, specials)
    observe("ids", tokenizer.encode("ab<|end|>bc", {"<|end|>"}))
    observe("how many ranks were given", len(ranks))
    observe("special tokens that were given", specials)
    ranks[b"bc"], specials["xyz"] = 500, 501
    observe("ids after the given dictionaries have changed", tokenizer.encode("abbc xyz"))
    observe.outcome("a token added later, decoded", tokenizer.decode, [500], mentions=("500",))
    observe("how many ranks it keeps", len(tokenizer.ranks))
    observe("special tokens it keeps", tokenizer.special_tokens)


def test_two_tokenizers_share_nothing(subject, draw, observe):
    """Text to ids and back, by one vocabulary."""
    one = subject.BPETokenizer(ranks_of(draw, b"ab", b"abc", b" c"), {"<|x|>": 700})
    two = subject.BPETokenizer(ranks_of(draw, b"bc", b"ca"), pattern=r"\S+|\s+|.")
    text = "abc cab, abcab"
    ids = [t.encode(text) for t in (one, two, one)]
    observe("ids of the first, of the second, of the first again", ids)
    observe("decoded by the first, by the second", [one.decode(ids[0]), two.decode(ids[1])])
    observe("special tokens of the second", two.special_tokens)
    observe("the first's special token is text to the second", two.encode("a<|x|>b"))
    observe.outcome("the first's special token decoded by the second", two.decode, [700], mentions=("700",))


def test_encode_merges_within_pieces_only(subject, draw, observe):
    """The text between them is cut into the matches of the pattern."""
    ranks = ranks_of(draw, b"b ", b" a", b"b a", b"ab", b"1a", b"a.", b"b'", b" ab")
    tokenizer = subject.BPETokenizer(ranks)
    for text in ("ab ab", "b a", "1a1a", "a.ab", "ab's b", "ab  ab", "AB ab\nab"):
        observe(f"ids of {text!r}", tokenizer.encode(text))


def test_encode_keeps_all_white_space(subject, draw, observe):
    """The text between them is cut into the matches of the pattern."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"  ", b"\n\n", b" a", b"ab"), {"<|s|>": 321})
    for text in ("", " ", "  ab  ", "ab\n\n\nab\t", "   ", " \u00a0ab\r\n", "ab <|s|> ab\n", "\ufeffab\x00\u200b"):
        observe(f"ids of {text!r}", tokenizer.encode(text, ["<|s|>"]))


def test_encode_random_texts(subject, draw, observe):
    """The ids of a text."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, *grown_tokens(draw)))
    texts = [" ".join(letters(draw, 2, 20) for _ in range(6)) for _ in range(3)] + [draw.text(30)]
    for number, text in enumerate(texts):
        observe(f"ids of text {number}", tokenizer.encode(text))


def test_encode_writes_utf8(subject, draw, observe):
    """If the bytes of such a piece, in UTF-8, are in `ranks` as a whole, that is its one id. If not, `bpe_encode`
    gives its ids.
    """
    euro, smile = "€".encode(), "🙂".encode()
    ranks = ranks_of(draw, "é".encode(), euro[:2], smile[:2], smile[2:], smile, b"\xa9a")
    tokenizer = subject.BPETokenizer(ranks)
    for text in ("é", "éa", "€", "a🙂🙂", "日本 мир", "e\u0301", "👩\u200d👧", "\x00\x7f\x85"):
        observe(f"ids of {text!r}", tokenizer.encode(text))


def test_encode_takes_a_piece_that_is_a_token_as_a_whole(subject, draw, observe):
    """If the bytes of such a piece, in UTF-8, are in `ranks` as a whole, that is its one id."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"bc", b"ab", b"cd", b"abcd", b" abcd"))
    for text in ("abcd", "abcd abcd", "abcdx", "abcd."):
        observe(f"ids of {text!r}", tokenizer.encode(text))


def test_encode_uses_the_given_pattern(subject, draw, observe):
    """The text between them is cut into the matches of the pattern."""
    ranks = ranks_of(draw, b"ab", b"b ", b" a", b"b a", b"-b", b"a-b", b"12")
    tokenizer = subject.BPETokenizer(ranks, pattern=r"\p{L}+-\p{L}+|\p{N}|[\p{L} ]+|.")
    for text in ("ab ab", "a-b", "1212", "ab 12"):
        observe(f"ids of {text!r}", tokenizer.encode(text))


def test_allowed_special_tokens_get_their_ids(subject, draw, observe):
    """A special token gives its own id."""
    end, pad = 300 + draw.whole(0, 99), 50256
    tokenizer = subject.BPETokenizer(
        ranks_of(draw, b"ab", b"|>", b"nd", b"end", b" <"), {"<|end|>": end, "<|pad|>": pad}
    )
    both = {"<|end|>", "<|pad|>"}
    for text in ("<|end|>", "ab<|end|>ab", "<|end|>ab", "ab<|end|>", "<|end|><|pad|><|end|>", "ab <|end|> a"):
        observe(f"ids of {text!r}", tokenizer.encode(text, both))
    observe("no special token in the text", tokenizer.encode("abxab ab", both))
    observe("almost a special token", tokenizer.encode("<|end|<|pad >|end|>", both))
    observe("special tokens by name", tokenizer.encode("ab<|pad|>", allowed_special={"<|pad|>"}))


def test_special_token_with_the_id_0(subject, draw, observe):
    """A special token gives its own id."""
    ranks = {token: rank + 1 for token, rank in ranks_of(draw, b"ab").items()}
    tokenizer = subject.BPETokenizer(ranks, {"<|pad|>": 0})
    observe("ids", tokenizer.encode("ab<|pad|><|pad|>a", {"<|pad|>"}))
    observe("decoded", tokenizer.decode([ranks[b"ab"], 0, ranks[b"a"]]))


def test_pieces_end_where_a_special_token_begins(subject, draw, observe):
    """The text between them is cut into the matches of the pattern."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"  ", b"ab", b"abab", b"b<"), {"<|s|>": 321})
    for text in ("ab  <|s|>  ab", "ab<|s|>ab", "ab \n<|s|>\n ab"):
        observe(f"ids of {text!r}", tokenizer.encode(text, {"<|s|>"}))


def test_decode_gives_the_text_back(subject, draw, observe):
    """The bytes of all tokens should be joined first, and then decoded as UTF-8, with errors="replace"."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, *grown_tokens(draw)), {"<|end|>": 50256})
    text = draw.text(30) + letters(draw, 20, 40)
    for given in (text, "  ab \n\n", "", "ab\n", "\ufeffab\r\n\x00", "ab , ( ab ) ' s ? ab ! \n ."):
        observe(f"{given!r}, decoded", tokenizer.decode(tokenizer.encode(given)))
    ids = [rank for rank in tokenizer.ranks.values() if rank > 255]
    observe("all learned tokens, by rank", tokenizer.decode(sorted(ids)))
    observe("id 0", tokenizer.decode([0, 256, 0]))


def test_decode_joins_bytes_before_it_reads_them(subject, draw, observe):
    """The bytes of all tokens should be joined first, and then decoded as UTF-8, with errors="replace"."""
    smile = "🙂".encode()
    ranks = ranks_of(draw, smile[:2], smile[2:], "é".encode(), "é".encode() + smile[:1])
    tokenizer = subject.BPETokenizer(ranks)
    for text in ("🙂", "日本語", "👩\u200d👧", "é🙂"):
        observe(f"{text!r}, decoded", tokenizer.decode(tokenizer.encode(text)))
        single = [ranks[bytes([byte])] for byte in text.encode()]
        observe(f"{text!r}, decoded from single bytes", tokenizer.decode(single))


def test_decode_puts_a_sign_where_bytes_are_no_text(subject, draw, observe):
    """The bytes of all tokens should be joined first, and then decoded as UTF-8, with errors="replace"."""
    smile = "🙂".encode()
    ranks = ranks_of(draw, smile[:2], b"a\xff", b"\xfeb")
    tokenizer = subject.BPETokenizer(ranks, {"<|s|>": 300})
    byte = {value: ranks[bytes([value])] for value in range(256)}
    observe("half an emoji", tokenizer.decode([byte[97], ranks[smile[:2]], byte[98]]))
    observe("half an emoji at the end", tokenizer.decode([byte[97], ranks[smile[:2]]]))
    observe("tokens that are no text", tokenizer.decode([ranks[b"a\xff"], ranks[b"\xfeb"]]))
    observe("a byte that goes on from nothing", tokenizer.decode([byte[0x82], byte[97]]))
    halves = [ranks[smile[:2]], 300, byte[0x99], byte[0x82]]
    observe("a special token between two halves", tokenizer.decode(halves))


def test_decode_special_tokens(subject, draw, observe):
    """A special token gives its own text."""
    ranks = ranks_of(draw, b"ab")
    tokenizer = subject.BPETokenizer(ranks, {"<|end|>": 50256, "<|ä日|>": 300})
    observe("among text", tokenizer.decode([ranks[b"ab"], 50256, ranks[b"ab"], 300, 300, ranks[b"a"]]))
    observe("alone", tokenizer.decode([50256]))


def test_decode_takes_anything_that_can_be_walked_once(subject, draw, observe):
    """ids  ids of tokens and of special tokens: a list, or anything else that can be iterated over once"""
    ranks = ranks_of(draw, b"ab")
    tokenizer = subject.BPETokenizer(ranks, {"<|end|>": 300})
    ids = [ranks[b"ab"], 300, ranks[b"b"], ranks[b"a"]]
    observe("a tuple", tokenizer.decode(tuple(ids)))
    observe("an iterator", tokenizer.decode(iter(ids)))
    observe("no ids", tokenizer.decode([]))
    observe("an iterator over nothing", tokenizer.decode(iter(())))
    observe("the list is still the same", ids)


def test_encode_iterable_encodes_each_text_on_its_own(subject, draw, observe):
    """Each text is encoded on its own."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab", b"abab", b"  ", b"\n\n", b"cab"), {"<|s|>": 300})
    texts = ["abab", "ab", "", "ab ", " ab", "a", "b\n", "\nab", "<|", "s|>", "c", "ab"]
    observe("ids of a list of texts", list(tokenizer.encode_iterable(texts)))
    observe("ids of a text of several lines", list(tokenizer.encode_iterable(["ab\n\n\nab  ab\r\n", "ab"])))
    observe("ids of texts of white space", list(tokenizer.encode_iterable(["ab", "\n", "  ", "ab"])))
    observe("ids of texts that come one by one", list(tokenizer.encode_iterable(text for text in texts)))
    observe("the list of texts", texts)
    observe("ids of no texts", list(tokenizer.encode_iterable([])))
    observe("ids of empty texts", list(tokenizer.encode_iterable(["", ""])))
    many = [letters(draw, 2, 12) for _ in range(5)]
    observe("ids of random texts", list(tokenizer.encode_iterable(many)))


def test_encode_iterable_reads_nothing_ahead(subject, draw, observe):
    """Each text is encoded on its own. The next one should be taken from `texts` only when its first id is asked
    for.
    """
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab"))
    taken = []

    def texts():
        for text in ("ab b", "", "a", "bab"):
            taken.append(text)
            yield text
        taken.append("the end")

    ids = tokenizer.encode_iterable(texts())
    observe("texts taken before the first id is asked for", list(taken))
    for number in range(6):
        observe(f"id {number}", next(ids))
        observe(f"texts taken when id {number} is there", list(taken))
    observe("after the last id", next(ids, None))
    observe("texts taken in the end", taken)


def test_encode_iterable_with_special_tokens(subject, draw, observe):
    """allowed_special  as for `encode`"""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab"), {"<|s|>": 300, "<|t|>": 301})
    texts = ["ab<|s|>", "<|s|>", "ab", "<|s|>a<|t|>"]
    observe("allowed", list(tokenizer.encode_iterable(texts, {"<|s|>", "<|t|>"})))
    observe("allowed by name", list(tokenizer.encode_iterable(texts[:2], allowed_special=["<|s|>"])))


def test_save_and_load_bring_everything_back(subject, draw, observe, tmp_path):
    """a tokenizer of the class `cls`, with equal `ranks`, `special_tokens` and `pattern`"""
    smile = "🙂".encode()
    ranks = ranks_of(draw, b"ab", smile[:2], b"\xff\x00", "é".encode(), b" \n", b"\r\n", b'"\\', b"abc")
    specials = {"<|end|>": 50256, "<|ä日🙂|>": 300, 'a "\\\n': 301}
    tokenizer = subject.BPETokenizer(ranks, specials, r"[^\s'\"é]+|\s+(?!\S)|\s|[^\s]")
    path = tmp_path / "a tokenizer.of mine"
    tokenizer.save(path)
    loaded = subject.BPETokenizer.load(path)
    observe("ranks", loaded.ranks)
    observe("special tokens", loaded.special_tokens)
    observe("pattern", loaded.pattern)
    text = "abcab ab\r\né🙂 \nabc"
    observe("ids", loaded.encode(text + "<|end|>" + text, set(specials)))
    observe("decoded", loaded.decode([*loaded.encode(text), 300, 301, ranks[b"\xff\x00"]]))
    observe.outcome("refused", loaded.encode, "<|end|>", mentions=("<|end|>",))


def test_save_of_random_ranks_by_a_path_in_text(subject, draw, observe, tmp_path):
    """path  where to, a string or a `Path`"""
    ranks = {token: 5 + 2 * rank for token, rank in ranks_of(draw, *grown_tokens(draw)).items()}
    tokenizer = subject.BPETokenizer(ranks)
    path = str(tmp_path / "tokenizer")
    tokenizer.save(path)
    moved = (tmp_path / "tokenizer").rename(tmp_path / "the same file, moved")
    loaded = subject.BPETokenizer.load(str(moved))
    observe("ranks", loaded.ranks)
    observe("special tokens", loaded.special_tokens)
    observe("pattern", loaded.pattern)
    text = " ".join(letters(draw, 2, 20) for _ in range(4))
    observe("ids", loaded.encode(text))
    observe("ids of the one that was saved", tokenizer.encode(text))


def test_save_replaces_a_file(subject, draw, observe, tmp_path):
    """A file that is there already is replaced."""
    path = tmp_path / "tokenizer"
    subject.BPETokenizer(ranks_of(draw, b"ab", b"abc", b"abcd"), {"<|s|>": 300, "<|t|>": 301}).save(path)
    subject.BPETokenizer(ranks_of(draw, b"bc"), {"<|u|>": 302}, r"\S+|\s").save(path)
    loaded = subject.BPETokenizer.load(path)
    observe("ranks", loaded.ranks)
    observe("special tokens", loaded.special_tokens)
    observe("pattern", loaded.pattern)


def test_load_makes_a_tokenizer_of_its_own(subject, draw, observe, tmp_path):
    """a tokenizer of the class `cls`, with equal `ranks`, `special_tokens` and `pattern`"""

    class Mine(subject.BPETokenizer):
        pass

    first = Mine(ranks_of(draw, b"ab"), {"<|s|>": 300})
    first.save(tmp_path / "first")
    subject.BPETokenizer(ranks_of(draw, b"bc"), {"<|t|>": 301}).save(tmp_path / "second")
    loaded = [Mine.load(tmp_path / "first"), subject.BPETokenizer.load(tmp_path / "second")]
    observe("classes", [type(tokenizer).__name__ for tokenizer in loaded])
    observe("ids", [tokenizer.encode("abc bc") for tokenizer in loaded])
    observe("special tokens", [tokenizer.special_tokens for tokenizer in loaded])
    observe("special tokens of the one that was saved", first.special_tokens)


# The fine print.


def test_a_piece_is_not_looked_up_as_a_whole(subject, draw, observe):
    """The piece should not be looked up as a whole: "abcd" gives three ids although it is a token."""
    ranks = ranks_of(draw, b"bc", b"ab", b"cd", b"abcd")
    for piece in (b"abcd", b"xabcd", b"abcdabcd"):
        observe(f"ids of {piece.decode()}", subject.bpe_encode(piece, ranks))


def test_empty_piece_and_bytes_that_nothing_merges(subject, draw, observe):
    """An empty piece gives []."""
    ranks = ranks_of(draw, b"ab")
    observe("ids of the empty piece", subject.bpe_encode(b"", ranks))
    observe("ids of one byte", subject.bpe_encode(b"a", ranks))
    observe("ids of all bytes, backwards", subject.bpe_encode(bytes(reversed(range(256))), ranks))


def test_ranks_may_have_gaps(subject, draw, observe):
    """Ranks may have gaps, and the dictionary may list them in any order."""
    ranks = {token: 7 + 3 * rank for token, rank in ranks_of(draw, *grown_tokens(draw)).items()}
    pieces = [letters(draw, 2, 30).encode() for _ in range(4)]
    observe("ids of 4 random pieces", [subject.bpe_encode(piece, ranks) for piece in pieces])


def test_learned_ranks_may_be_below_256(subject, draw, observe):
    """Ranks may have gaps, and the dictionary may list them in any order."""
    tokens = [letter.encode() for letter in LETTERS] + grown_tokens(draw)
    others = [bytes([byte]) for byte in draw.shuffled(range(256)) if bytes([byte]) not in tokens]
    ranks = {token: rank for rank, token in enumerate([*tokens, *others])}
    pieces = [letters(draw, 2, 30).encode() for _ in range(4)]
    observe("ids of 4 random pieces", [subject.bpe_encode(piece, ranks) for piece in pieces])


def test_the_ranks_that_were_given_stay_as_they_are(subject, draw, observe):
    """A call must not change its inputs."""
    ranks = ranks_of(draw, b"ab", b"abc")
    before = dict(ranks)
    subject.bpe_encode(b"abcxabc", ranks)
    observe("ranks after bpe_encode, and before", [ranks, before])
    observe("how many ranks", len(ranks))


def test_longest_special_token_first(subject, draw, observe):
    """Where several special tokens begin at the same position, the longest is taken."""
    specials = ["<|a|>", "<|a|><|b|>", "<|a|>!", "x<|a"]
    text = "<|a|><|b|><|a|>!<|a|><|a|>!<|a|><|b|>!"
    for order in (specials, list(reversed(specials)), sorted(specials, key=len)):
        found = parts_of(subject.split_at_specials(text, order, set(specials)))
        observe(f"parts, special tokens given as {order}", found)


def test_special_tokens_are_found_from_left_to_right(subject, draw, observe):
    """The text is read from left to right."""
    specials = ["<x>", ">yyyy", "yy"]
    for text in ("<x>yyyy", "x>yyyy<x>", "<x>>yyyyy", "yyy"):
        observe(f"parts of {text!r}", parts_of(subject.split_at_specials(text, specials, specials)))


def test_special_tokens_stand_for_themselves(subject, draw, observe):
    """Each of their characters stands for itself: the | in "<|end|>" does not mean "or"."""
    specials = ["<|a|>", "a.c", "(b)", "[xy]", "\\d", "x*", "$^", "a?", "b{2}", "y+"]
    for text in ("<|a|>abc b x y 1", "a a.c", "b(b)", "x[xy]y", "1\\d2", "xx*x", "a$^", "aa?a", "bbb{2}", "yyy+y"):
        observe(f"parts of {text!r}", parts_of(subject.split_at_specials(text, specials, specials)))


def test_special_token_inside_an_allowed_one_is_refused(subject, draw, observe):
    """A special token is refused wherever it occurs, even within an allowed one."""
    split, specials = subject.split_at_specials, ["<s>", "<<s>>"]
    observe.outcome("<s> inside <<s>>", split, "ab<<s>>ab", specials, {"<<s>>"}, mentions=("<s>",))
    observe.outcome("<<s>> around <s>", split, "ab<<s>>ab", specials, {"<s>"}, mentions=("<<s>>",))
    observe("both allowed", parts_of(split("ab<<s>><s>", specials, set(specials))))
    observe.outcome(">yy that overlaps <x>", split, "ab<x>yy", ["<x>", ">yy"], {"<x>"}, mentions=(">yy",))


def test_allowed_strings_that_are_no_special_tokens(subject, draw, observe):
    """A string in `allowed` that is not a special token has no effect."""
    split, specials = subject.split_at_specials, ["<|end|>"]
    observe("among others", parts_of(split("ab<|no|>ab<|end|>", specials, {"<|no|>", "<|end|>"})))
    observe("alone", parts_of(split("xabab", specials, ["ab"])))
    observe("where there are no special tokens", parts_of(split("xabab", [], ["ab"])))


def test_tokenizer_of_ranks_with_gaps(subject, draw, observe):
    """Ranks may have gaps, and the dictionary may list them in any order."""
    ranks = {token: 7 + 3 * rank for token, rank in ranks_of(draw, *grown_tokens(draw)).items()}
    tokenizer = subject.BPETokenizer(ranks)
    ids = tokenizer.encode(letters(draw, 2, 30))
    observe("ids of a text", ids)
    observe("decoded", tokenizer.decode(ids))


def test_encode_refuses_special_tokens_that_are_not_allowed(subject, draw, observe):
    """ValueError: a special token is not allowed, as in `split_at_specials`."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab"), {"<|end|>": 400, "<|pad|>": 401})
    observe("no special token in the text", tokenizer.encode("ab end <|end |>"))
    observe.outcome("nothing allowed", tokenizer.encode, "ab <|end|> ab", mentions=("<|end|>",))
    observe.outcome("only <|end|> allowed", tokenizer.encode, "a<|pad|>", {"<|end|>"}, mentions=("<|pad|>",))
    observe("only <|end|> allowed, only <|end|> there", tokenizer.encode("ab<|end|>", ["<|end|>"]))
    observe.outcome("after that, nothing allowed", tokenizer.encode, "ab<|end|>", mentions=("<|end|>",))


def test_encode_changes_nothing_that_it_is_given(subject, draw, observe):
    """A call must not change its inputs."""
    allowed = ["<|no|>", "<|end|>"]
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab", b"abc"), {"<|end|>": 400})
    observe("the same text twice", [tokenizer.encode("abcab<|end|>ab", allowed) for _ in range(2)])
    observe("allowed special tokens", allowed)
    observe("ranks", tokenizer.ranks)
    observe("special tokens", tokenizer.special_tokens)


def test_unknown_ids_are_refused(subject, draw, observe):
    """KeyError: an id is unknown, such as -1. The message names it, as a dictionary's own KeyError does."""
    ranks = ranks_of(draw, b"ab")
    tokenizer = subject.BPETokenizer(ranks, {"<|end|>": 300})
    for number in (257, 299, 301, 50256, -1):
        observe.outcome(f"id {number}", tokenizer.decode, [ranks[b"a"], number], mentions=(str(number),))
    observe("the largest ids that are known", tokenizer.decode([256, 300]))


def test_encode_iterable_refuses_when_it_gets_there(subject, draw, observe):
    """ValueError: as `encode` raises it, but only when that text is reached."""
    tokenizer = subject.BPETokenizer(ranks_of(draw, b"ab"), {"<|s|>": 300, "<|t|>": 301})
    ids = tokenizer.encode_iterable(["ab<|s|>", "<|s|>", "ab", "<|s|>a<|t|>"], ("<|s|>",))
    observe("ids before the text at fault", [next(ids) for _ in range(4)])
    observe.outcome("the text at fault", next, ids, mentions=("<|t|>",))


def test_missing_file_is_refused(subject, draw, observe, tmp_path):
    """FileNotFoundError: there is no such file."""
    observe.outcome("a file that is not there", subject.BPETokenizer.load, tmp_path / "third")
