"""Probes of ex02: training a byte pair encoding. Each runs on the reference, your code and every mistake.

The core first, then the fine print, as in the docstrings.
"""

LESSON = "tin tin tint in"
END = "<|endoftext|>"


def ids(numbers):
    """Ids made while the probe runs, so that equal ones above 256 are different objects."""
    return tuple(int(number) for number in numbers.split())


def learned(result):
    """What train_bpe returned, without the 256 single bytes, so that what is shown of it stays short."""
    match result:
        case (dict() as ranks, merges):
            return {
                token: rank for token, rank in ranks.items() if type(token) is not bytes or len(token) > 1
            }, merges
    return result


def test_pairs_of_neighbours_are_counted(subject, draw, observe):
    """How often each pair of neighbouring ids occurs."""
    observe("the example", subject.count_pairs({(5, 6, 5, 6): 1, (6, 5): 10, (8,): 3}))
    observe("one word of four", subject.count_pairs({(40, 30, 20, 10): 1}))


def test_a_pair_counts_as_often_as_its_word_occurs(subject, draw, observe):
    """Every position of a pair in a word counts as often as the word occurs."""
    observe("pairs", subject.count_pairs({(5, 6, 7): 4, (5, 6): 3, (9, 7): 1, (7, 9, 5, 6): 20}))


def test_every_place_in_a_word_counts(subject, draw, observe):
    """Every position of a pair in a word counts as often as the word occurs."""
    observe("the same pair three times", subject.count_pairs({(5, 6, 5, 6, 5, 6): 2}))


def test_a_pair_has_an_order(subject, draw, observe):
    """a pair of neighbours, (left id, right id) -> how often it occurs in the text"""
    observe("pairs", subject.count_pairs({(6, 5): 2, (5, 6): 3}))


def test_short_words_hold_no_pair(subject, draw, observe):
    """a pair of neighbours, (left id, right id) -> how often it occurs in the text"""
    observe("a word of one id", subject.count_pairs({(7,): 5}))
    observe("a word of one id, and one of two", subject.count_pairs({(7,): 5, (300, 301): 2}))


def test_pairs_do_not_reach_from_word_to_word(subject, draw, observe):
    """Every position of a pair in a word counts as often as the word occurs."""
    observe("pairs", subject.count_pairs({(1, 2): 1, (3, 4): 1, (5, 6, 7): 1}))


def test_pairs_of_random_words(subject, draw, observe):
    """How often each pair of neighbouring ids occurs."""
    words = {}
    for _ in range(12):
        word = tuple(draw.whole(250, 255) for _ in range(draw.whole(1, 8)))
        words[word] = draw.whole(1, 9)
    observe("pairs", subject.count_pairs(words))


def test_the_most_frequent_pair(subject, draw, observe):
    """the pair with the largest count"""
    observe("the example", subject.most_frequent_pair({(7, 1): 2, (5, 6): 3, (5, 4): 3}))
    observe("the smallest ids are the rarest", subject.most_frequent_pair({(1, 2): 1, (9, 8): 7, (3, 4): 6}))
    observe("the largest ids are the rarest", subject.most_frequent_pair({(5, 6): 4, (9, 8): 1, (3, 4): 10}))
    observe("a single pair", subject.most_frequent_pair({(40, 30): 1}))


def test_ties_between_pairs(subject, draw, observe):
    """Of several with that count, the one with the smallest first id should win, and if these are equal too, the
    one with the smallest second id.
    """
    most_frequent_pair = subject.most_frequent_pair
    observe("other first ids", most_frequent_pair({(6, 1): 2, (4, 9): 2, (5, 3): 2}))
    observe("equal first ids", most_frequent_pair({(5, 8): 2, (5, 3): 2, (5, 6): 2}))
    observe("both", most_frequent_pair({(6, 1): 4, (5, 9): 4, (5, 8): 4, (4, 4): 3, (7, 7): 4}))
    observe("ids of 1, 2 and 3 digits", most_frequent_pair({(100, 5): 1, (32, 256): 1, (32, 97): 1, (256, 9): 1}))


def test_the_most_frequent_of_random_pairs(subject, draw, observe):
    """Of several with that count, the one with the smallest first id should win, and if these are equal too, the
    one with the smallest second id.
    """
    for number in range(6):
        counts = {(draw.whole(0, 12), draw.whole(0, 12)): draw.whole(1, 4) for _ in range(30)}
        observe(f"pair {number}", subject.most_frequent_pair(counts))


def test_a_pair_is_replaced_by_the_new_id(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    observe("the example", subject.merge_pair((5, 6, 7, 5, 6), (5, 6), 256))
    observe("in the middle", subject.merge_pair((1, 2, 5, 6, 3, 4), (5, 6), 300))
    observe("at the start", subject.merge_pair((5, 6, 3, 4, 2), (5, 6), 257))
    observe("three in a row", subject.merge_pair((5, 6, 5, 6, 5, 6), (5, 6), 999))
    observe("three in a row, another new id", subject.merge_pair((5, 6, 5, 6, 5, 6), (5, 6), 258))


def test_the_last_pair_is_merged_too(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    for word in ((1, 5, 6), (1, 2, 5, 6), (5, 6)):
        observe(f"{word}", subject.merge_pair(word, (5, 6), 256))


def test_the_last_id_stays(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    for word in ((5, 6, 1), (5, 6, 6), (6, 1, 2)):
        observe(f"{word}", subject.merge_pair(word, (5, 6), 256))


def test_a_half_pair_at_the_end_stays(subject, draw, observe):
    """pair  the two ids that are merged where they are neighbours, in this order"""
    for word in ((1, 2, 5), (5, 6, 5), (5,)):
        observe(f"{word}", subject.merge_pair(word, (5, 6), 256))


def test_only_this_pair_in_this_order(subject, draw, observe):
    """pair  the two ids that are merged where they are neighbours, in this order"""
    for word in ((6, 5, 6, 6, 5), (5, 5, 7, 6, 6), (5, 7, 6), (1, 2, 3)):
        observe(f"{word}", subject.merge_pair(word, (5, 6), 256))


def test_equal_ids_are_merged_from_the_left(subject, draw, observe):
    """The word is read from left to right. Of three equal ids, the first two become one and the third stays."""
    for length in (1, 2, 3, 4, 5, 6, 7):
        observe(f"{length} equal ids", subject.merge_pair((7,) * length, (7, 7), 256))
    observe("inside a word", subject.merge_pair((1, 7, 7, 7, 2, 7, 7), (7, 7), 256))


def test_short_words_stay(subject, draw, observe):
    """word  ids, any number of them"""
    observe("one id", subject.merge_pair((9,), (5, 6), 256))
    observe("two other ids", subject.merge_pair((6, 5), (5, 6), 256))


def test_ids_are_numbers_and_not_text(subject, draw, observe):
    """pair  the two ids that are merged where they are neighbours, in this order"""
    observe("15 6 and 5 67 are not 5 6", subject.merge_pair((15, 6, 5, 67, 5, 6), (5, 6), 256))


def test_ids_are_compared_by_value(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    word, pair = ids("300 301 299 300 301"), ids("300 301")
    observe("merged", subject.merge_pair(word, pair, 302))


def test_merge_in_random_words(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    for number in range(6):
        word = tuple(draw.whole(1, 4) for _ in range(draw.whole(9, 30)))
        pair = (draw.whole(1, 4), draw.whole(1, 4))
        observe(f"word {number}", subject.merge_pair(word, pair, 400 + number))


def test_text_is_cut_into_pieces(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN."""
    observe("the example", subject.pretokenize("I'll see  2 dogs."))
    observe("words and numbers", subject.pretokenize("Room 101B, 3rd floor: 1,024 m2 (or so)!"))


def test_english_endings(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN."""
    observe(
        "in lower case",
        subject.pretokenize("I'd say we've won, they'll see it's Tom's; I'm sure you're not, don't 'tis"),
    )
    observe("in upper case", subject.pretokenize("DON'T SAY IT'S MINE, WE'LL"))


def test_white_space(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN. Joined again, its pieces should be that text."""
    observe("between words", subject.pretokenize("one two  three   four"))
    observe("at both ends", subject.pretokenize("  one  "))
    observe("line breaks and tabs", subject.pretokenize("one\ntwo\n\nthree \n four\t\tfive\r\n"))
    observe("nothing else", subject.pretokenize(" \n\t "))


def test_letters_of_all_alphabets(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN."""
    observe("letters", subject.pretokenize("naïve Straße мир 日本語 שלום"))
    observe("a letter and a combining mark", subject.pretokenize("cafe\u0301 Ａ"))
    observe("emoji", subject.pretokenize("ok 🙂🙂 👩\u200d👧"))


def test_digits_and_number_signs(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN."""
    observe("pieces", subject.pretokenize("x² is ½ of 12345 and Ⅷ, ٣٤ snake_case_9"))


def test_random_text_is_cut_into_pieces(subject, draw, observe):
    """Then each of these texts is cut by GPT2_PATTERN. Joined again, its pieces should be that text."""
    text = draw.text(40)
    observe("pieces", subject.pretokenize(text))
    observe("pieces joined", "".join(subject.pretokenize(text)))


def test_no_character_is_changed_or_lost(subject, draw, observe):
    """Joined again, its pieces should be that text."""
    text = "\ufeffa\x00b\u00adc\u200bd\u2028e \u00a0f\x0b\x0c\x1c\x85g it’s “so” \ufb01n\ufffd"
    observe("pieces of unusual characters", subject.pretokenize(text))


def test_pieces_that_come_again_are_kept(subject, draw, observe):
    """the pieces, in the order of the text"""
    observe("pieces", subject.pretokenize("so so so, so"))


def test_special_tokens_are_cut_out(subject, draw, observe):
    """First the special tokens are cut out: they are no pieces, and what is before and what is after one are two
    texts.
    """
    observe("the example", subject.pretokenize("one<|end|>two", ["<|end|>"]))
    observe("in several places", subject.pretokenize(f"{END}a b{END}{END}c{END}d", (END,)))
    observe("an unlisted one is text", subject.pretokenize("one<|end|>two", (END,)))
    observe("none listed", subject.pretokenize("one<|end|>two"))
    observe("by name", subject.pretokenize(text="one<|end|>two", special_tokens=("<|end|>",)))


def test_several_special_tokens(subject, draw, observe):
    """First the special tokens are cut out: they are no pieces, and what is before and what is after one are two
    texts.
    """
    observe("pieces", subject.pretokenize("a<|x|>b<|y|>c<|z|>d <|x|>", ("<|x|>", "<|y|>", "<|z|>")))


def test_white_space_beside_a_special_token(subject, draw, observe):
    """First the special tokens are cut out: they are no pieces, and what is before and what is after one are two
    texts.
    """
    observe("pieces", subject.pretokenize(f"one  {END}  two\n{END}\n\nthree {END}", (END,)))


def test_training_on_the_lesson_text(subject, draw, observe):
    """Example: train_bpe("tin tin tint in", 259, ["<|endoftext|>"]) learns two tokens."""
    observe("learned ranks and merges, 258 tokens", learned(subject.train_bpe(LESSON, 258)))
    observe("with a special token", learned(subject.train_bpe(LESSON, 259, [END])))


def test_exactly_as_many_tokens_as_wanted(subject, draw, observe):
    """Exactly vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left."""
    text = "some words, some more words and some others"
    for size in (257, 258, 263, 270):
        observe(f"learned ranks and merges, {size} tokens", learned(subject.train_bpe(text, size)))


def test_frequent_words_weigh_more(subject, draw, observe):
    """Count all pairs of neighbours, in all pieces."""
    text = "tea tea tea tea tea ink sink pink link"
    observe("one merge", learned(subject.train_bpe(text, 257)))
    observe("four merges", learned(subject.train_bpe(text, 260)))


def test_pairs_are_counted_anew_after_each_merge(subject, draw, observe):
    """Repeat from step 3 until the vocabulary is full, or no pair is left."""
    observe("learned ranks and merges", learned(subject.train_bpe("abc abc abc abd abd xbc", 262)))


def test_every_place_in_a_word_counts_in_training(subject, draw, observe):
    """Count all pairs of neighbours, in all pieces."""
    observe("one merge", learned(subject.train_bpe("aaaaa\nbc\nbc\nbc", 257)))


def test_ties_go_to_the_smallest_first_id(subject, draw, observe):
    """Here the smaller first id wins, and if these are equal, the smaller second id."""
    observe("dc, ba and fe", learned(subject.train_bpe("dc ba\nfe", 260)))
    observe("ids of 2 and 3 digits", learned(subject.train_bpe("dc\nCD\nba", 258)))


def test_ties_with_equal_first_ids_go_to_the_smallest_second_id(subject, draw, observe):
    """Here the smaller first id wins, and if these are equal, the smaller second id."""
    observe("ac, ab and ad", learned(subject.train_bpe("ac\nab\nad", 258)))
    observe("bc and da", learned(subject.train_bpe("bc\nda", 257)))


def test_ties_between_old_and_new_ids(subject, draw, observe):
    """Here the smaller first id wins, and if these are equal, the smaller second id."""
    observe("id 256 is larger than y", learned(subject.train_bpe("in\nin\nina\nyz", 258)))
    observe("the second id is 256 or m", learned(subject.train_bpe("in\nin\nain\nam", 258)))


def test_letters_beyond_ascii_are_several_bytes(subject, draw, observe):
    """Write each piece as its bytes. A byte is its own id, 0 … 255."""
    observe("é and ñ", learned(subject.train_bpe("é é é ñ ñ", 259)))
    observe("Japanese and emoji", learned(subject.train_bpe("日本 日本 日光 🙂🙂 🙃", 275)))


def test_training_leaves_the_text_as_it_is(subject, draw, observe):
    """Learn a vocabulary of tokens from a text, by the steps of the lesson."""
    observe("white space", learned(subject.train_bpe("\n\n tea\r\n\r\n\n tea  TEA\n\n\n", 300)))
    observe("an accent of its own", learned(subject.train_bpe("e\u0301 e\u0301 é \ufeffe", 300)))


def test_no_token_crosses_a_piece(subject, draw, observe):
    """Tokens never cross the end of a piece."""
    observe("words", learned(subject.train_bpe("a b a b a b a b", 262)))
    observe("words and signs", learned(subject.train_bpe("end. end. end.\nend.\n", 270)))


def test_no_token_crosses_a_special_token(subject, draw, observe):
    """ "<|endoftext|>" between two documents is not text. It is cut out before anything is counted, so nothing is
    merged across it.
    """
    text = f"ab{END}ab{END}ab cd{END}cd"
    observe("learned ranks and merges", learned(subject.train_bpe(text, 262, (END,))))
    text = f"{END} end {END} end"
    observe("with the special token's letters in the text", learned(subject.train_bpe(text, 262, (END,))))


def test_special_tokens_count_as_part_of_the_vocabulary(subject, draw, observe):
    """vocab_size  how many tokens are wanted: bytes, learned ones and special ones together"""
    specials = ["<b>", "<a>", "<longer>"]
    text = "some words<a>some<longer> more words<b>and some others"
    observe("learned ranks and merges, 265 tokens", learned(subject.train_bpe(text, 265, specials)))
    absent = (END, "<|pad|>")
    observe("special tokens that do not occur", learned(subject.train_bpe("so much more", 260, absent)))


def test_training_on_random_text(subject, draw, observe):
    """Learn a vocabulary of tokens from a text, by the steps of the lesson."""
    text = draw.text(30) + END + draw.text(30)
    observe("learned ranks and merges", learned(subject.train_bpe(text, 297, (END,))))
    words = [draw.word("abc", 1, 6) for _ in range(20)]
    observe("few letters, many ties", learned(subject.train_bpe(" ".join(words), 290)))


# The fine print.


def test_overlapping_places_count(subject, draw, observe):
    """Positions may overlap: (7, 7, 7) holds (7, 7) twice."""
    for length in (2, 3, 4, 5):
        observe(f"{length} equal ids", subject.count_pairs({(7,) * length: 3}))
    observe("equal ids inside a word", subject.count_pairs({(1, 7, 7, 7, 2): 1}))


def test_no_words_hold_no_pair(subject, draw, observe):
    """No words give {}."""
    observe("no words", subject.count_pairs({}))


def test_any_id_is_counted(subject, draw, observe):
    """How often each pair of neighbouring ids occurs."""
    observe("id 0", subject.count_pairs({(0, 5, 0, 0): 2, (5, 0): 1, (0,): 4}))
    observe("large ids", subject.count_pairs({(50256, 100_000, 50256): 3}))


def test_a_long_word_is_counted(subject, draw, observe):
    """Every position of a pair in a word counts as often as the word occurs."""
    word = tuple(draw.whole(250, 256) for _ in range(1_500))
    observe("pairs in a word of 1,500 ids", subject.count_pairs({word: 2}))


def test_counting_leaves_the_words_as_they_were(subject, draw, observe):
    """A call must not change its inputs."""
    words = {(5, 6, 5): 2, (7,): 1, (8, 9): 4}
    subject.count_pairs(words)
    observe("the words afterwards", words)


def test_choosing_leaves_the_counts_as_they_were(subject, draw, observe):
    """A call must not change its inputs."""
    counts = {(5, 6): 2, (8, 9): 4, (1, 2): 4}
    subject.most_frequent_pair(counts)
    observe("the counts afterwards", counts)


def test_an_empty_word_stays_empty(subject, draw, observe):
    """word  ids, any number of them"""
    observe("no id", subject.merge_pair((), (5, 6), 256))


def test_id_0_is_an_id(subject, draw, observe):
    """The word with every occurrence of a pair replaced by one new id."""
    for pair in ((0, 5), (5, 0), (0, 0)):
        observe(f"{pair} merged", subject.merge_pair((0, 5, 0, 0, 5, 5, 0, 0), pair, 256))


def test_a_long_word_is_merged(subject, draw, observe):
    """word  ids, any number of them"""
    word = tuple(draw.whole(1, 30) for _ in range(1_500))
    observe("a word of 1,500 ids", subject.merge_pair(word, word[700:702], 256))


def test_signs_in_a_special_token_stand_for_themselves(subject, draw, observe):
    """Each of their characters stands for itself: the | in "<|endoftext|>" does not mean "or"."""
    observe("a bar", subject.pretokenize("a < b | c > d <|x|> e", ("<|x|>",)))
    observe("a dot and a plus", subject.pretokenize("axb a.b a+b aab", ("a.b", "a+b")))
    observe("brackets", subject.pretokenize("I saw [SEP] SEP (x) x", ("[SEP]", "(x)")))
    others = ("a?", "b*", "$^", "x{2}", "\\d", "\n-- --\n")
    observe("others", subject.pretokenize("a a?b bb b* $^x xx x{2}1\\d 1\n-- --\n\n--\n", others))
    observe("capitals", subject.pretokenize("one<|END|>two<|end|>three", ("<|end|>",)))


def test_the_longest_special_token_wins(subject, draw, observe):
    """Where several special tokens begin at the same position, the longest is taken."""
    for specials in (
        ("<s>", "<s><s>x"),
        ("<s><s>x", "<s>"),
        ("<s>", "<s>x", "<s><s>x"),
        ("x<s><s>", "<s>", "<s>x"),
    ):
        observe(f"{specials}", subject.pretokenize("one<s><s>x two<s>x", specials))


def test_special_tokens_are_found_from_left_to_right(subject, draw, observe):
    """The text is searched from left to right."""
    observe("overlapping", subject.pretokenize("one#ab!!two", ("ab!!", "#a")))


def test_special_tokens_alone_have_no_pieces(subject, draw, observe):
    """No piece is empty, so an empty text gives []."""
    observe("a special token alone", subject.pretokenize(END, (END,)))
    observe("two special tokens", subject.pretokenize(END + END, (END,)))


def test_no_text_has_no_pieces(subject, draw, observe):
    """No piece is empty, so an empty text gives []."""
    observe("empty text", subject.pretokenize(""))
    observe("empty text and a special token", subject.pretokenize("", (END,)))


def test_the_special_tokens_are_left_as_they_were(subject, draw, observe):
    """A call must not change its inputs."""
    specials = ["<b>", "<a>", "<longer>", "<d>"]
    subject.pretokenize("a<b>c<longer>d", specials)
    observe("the special tokens afterwards", specials)


def test_training_stops_when_no_pair_is_left(subject, draw, observe):
    """Exactly vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left."""
    for size in (260, 261, 262, 400):
        observe(f"the lesson's text, {size} tokens wanted", learned(subject.train_bpe(LESSON, size)))
    observe("aaaaa", learned(subject.train_bpe("aaaaa", 999)))


def test_text_without_a_pair_teaches_nothing(subject, draw, observe):
    """Exactly vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left."""
    observe("empty text", learned(subject.train_bpe("", 300)))
    observe("one letter", learned(subject.train_bpe("a", 300)))
    observe("a special token alone", learned(subject.train_bpe(END, 300, (END,))))


def test_a_pair_that_occurs_once_is_merged(subject, draw, observe):
    """A pair that occurs only once is merged like any other."""
    observe("learned ranks and merges", learned(subject.train_bpe("abc", 258)))


def test_the_smallest_vocabulary(subject, draw, observe):
    """ranks  a token, as bytes -> its id: the 256 single bytes 0 … 255, then the learned tokens from 256 on, in
    their order; not the special tokens
    """
    observe("256 tokens", subject.train_bpe("some text", 256))
    observe("258 tokens, 2 of them special", subject.train_bpe("some text", 258, ("<a>", "<b>")))
    observe("259 tokens, 2 of them special", subject.train_bpe("some text", 259, ("<a>", "<b>")))


def test_a_vocabulary_that_is_too_small_is_refused(subject, draw, observe):
    """ValueError: vocab_size is below 256 + len(special_tokens). The message should name that smallest size."""
    observe.outcome("255 tokens", subject.train_bpe, "some text", 255, mentions=("256",))
    observe.outcome("0 tokens", subject.train_bpe, "", 0, mentions=("256",))
    specials = ("<a>", "<b>", "<c>")
    observe.outcome("258 tokens, 3 special", subject.train_bpe, "text", 258, specials, mentions=("259",))
