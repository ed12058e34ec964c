# wrong: characters-for-bytes
# ord() of characters, as in the book's simple BPE, and not bytes.

from typing import Dict, List, Sequence, Tuple

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


NUMBER_OF_BYTES: int = 256

Pair = Tuple[int, int]
Word = Tuple[int, ...]

def count_pairs(words: Dict[Word, int]) -> Dict[Pair, int]:
    result: Dict[Pair, int] = {}
    for word in words.keys():
        frequency: int = words[word]
        for index in range(0, len(word) - 1):
            pair: Pair = (word[index], word[index + 1])
            if pair in result:
                result[pair] = result[pair] + frequency
            else:
                result[pair] = frequency
    return result

def is_better(candidate: Pair, candidate_count: int, best: Pair, best_count: int) -> bool:
    if candidate_count != best_count:
        return candidate_count > best_count
    if candidate[0] != best[0]:
        return candidate[0] < best[0]
    return candidate[1] < best[1]


def most_frequent_pair(counts: Dict[Pair, int]) -> Pair:
    pairs: List[Pair] = list(counts.keys())
    best: Pair = pairs[0]
    for candidate in pairs[1:]:
        if is_better(candidate, counts[candidate], best, counts[best]):
            best = candidate
    return best

def merge_pair(word: Word, pair: Pair, new_id: int) -> Word:
    result: List[int] = []
    index: int = 0
    while index < len(word) - 1:
        is_pair: bool = (word[index], word[index + 1]) == pair
        if is_pair:
            result.append(new_id)
            index = index + 2
        else:
            result.append(word[index])
            index = index + 1
    if index == len(word) - 1:
        result.append(word[index])
    return tuple(result)

def split_at_special_tokens(text: str, special_tokens: Sequence[str]) -> List[str]:
    if len(special_tokens) == 0:
        return [text]
    ordered: List[str] = sorted(special_tokens, key=len)
    ordered.reverse()
    escaped: List[str] = [regex.escape(token) for token in ordered]
    return regex.split("|".join(escaped), text)


def pretokenize(text: str, special_tokens: Sequence[str] = ()) -> List[str]:
    pieces: List[str] = []
    for part in split_at_special_tokens(text, special_tokens):
        for piece in regex.findall(GPT2_PATTERN, part):
            pieces.append(piece)
    return pieces

def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> Tuple[Dict[bytes, int], List[Pair]]:
    minimum_size: int = NUMBER_OF_BYTES + len(special_tokens)
    if vocab_size < minimum_size:
        raise ValueError("The smallest possible vocabulary size is " + str(minimum_size))
    number_of_merges: int = vocab_size - minimum_size

    word_counts: Dict[Word, int] = {}
    for piece in pretokenize(text, special_tokens):
        word: Word = tuple([ord(character) for character in piece])
        word_counts[word] = word_counts.get(word, 0) + 1

    ranks: Dict[bytes, int] = {}
    token_of_id: List[bytes] = []
    for value in range(NUMBER_OF_BYTES):
        token_of_id.append(bytes([value]))
        ranks[bytes([value])] = value

    merges: List[Pair] = []
    for merge_number in range(number_of_merges):
        pair_counts: Dict[Pair, int] = count_pairs(word_counts)
        if len(pair_counts) == 0:
            print("no pair is left after", merge_number, "merges")
            break
        best: Pair = most_frequent_pair(pair_counts)
        new_id: int = NUMBER_OF_BYTES + merge_number
        new_token: bytes = token_of_id[best[0]] + token_of_id[best[1]]
        ranks[new_token] = new_id
        token_of_id.append(new_token)
        merges.append(best)
        word_counts = {merge_pair(word, best, new_id): count for word, count in word_counts.items()}
    return ranks, merges
