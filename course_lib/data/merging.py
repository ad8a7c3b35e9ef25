"""Byte-pair encoding without its words: which pairs to merge, and merging them.

Gage: A New Algorithm for Data Compression, 1994. Sennrich, Haddow, Birch: Neural Machine
Translation of Rare Words with Subword Units, ACL 2016.

`Pairs` keeps the counts of neighbours while a tokenizer learns: a merge only touches the words it
is in. `merged` applies what was learned to a word of n symbols in n log n steps.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

Symbol = TypeVar("Symbol", int, str)


class Pairs(Generic[Symbol]):
    """Words as symbols, and how often each symbol and each pair of neighbours is in them.

    In "aaa" the pair (a, a) counts twice, although only one can be merged.
    """

    def __init__(self, words: Mapping[Sequence[Symbol], int]) -> None:
        self.words = [list(word) for word in words]
        self.times = list(words.values())
        self.symbols: Counter[Symbol] = Counter()
        self.counts: Counter[tuple[Symbol, Symbol]] = Counter()
        self._where: dict[tuple[Symbol, Symbol], set[int]] = defaultdict(set)
        for place in range(len(self.words)):
            self._count(place, 1)

    def merge(self, pair: tuple[Symbol, Symbol], new: Symbol) -> set[tuple[Symbol, Symbol]]:
        """Put `new` where the pair is, from the left in each word → the pairs to look at again."""
        changed = set()
        for place in self._where.pop(pair, ()):
            changed |= self._count(place, -1)
            self.words[place] = _replaced(self.words[place], pair, new)
            changed |= self._count(place, 1)
        for other in changed:
            if not self.counts[other]:
                del self.counts[other], self._where[other]
        return changed

    def _count(self, place: int, sign: int) -> set[tuple[Symbol, Symbol]]:
        """Count a word in (1) or out (-1)."""
        word, times = self.words[place], sign * self.times[place]
        for symbol in word:
            self.symbols[symbol] += times
        neighbours = list(pairwise(word))
        for pair in neighbours:
            self.counts[pair] += times
            if sign > 0:
                self._where[pair].add(place)
            else:
                self._where[pair].discard(place)
        return set(neighbours)


def _replaced(word: list[Symbol], pair: tuple[Symbol, Symbol], new: Symbol) -> list[Symbol]:
    out, place = [], 0
    while place < len(word):
        if word[place] == pair[0] and word[place + 1 : place + 2] == [pair[1]]:
            out.append(new)
            place += 2
        else:
            out.append(word[place])
            place += 1
    return out


def most_frequent(
    pairs: Pairs[int], least: int, named: Callable[[int, int], int]
) -> Iterator[tuple[int, int, int]]:
    """Merge the most frequent pair, again and again → left, right, and how often it was there.

    Of equally frequent pairs it is the one with the smaller left symbol, then the smaller right
    one. `named` gives the merged symbol. Ends when no pair is there `least` times.
    """
    heap = [(-count, pair) for pair, count in pairs.counts.items()]
    heapq.heapify(heap)
    while heap:
        count, pair = heapq.heappop(heap)
        if -count != pairs.counts[pair]:
            continue  # it changed since; the count that holds is in the heap too
        if -count < least:
            return
        changed = pairs.merge(pair, named(*pair))
        yield *pair, -count
        for other in changed & pairs.counts.keys():
            heapq.heappush(heap, (-pairs.counts[other], other))


def merged(symbols: Sequence[int], rules: Mapping[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Symbols → symbols, after all merges. `rules`: pair → its rank and the merged symbol.

    The lowest rank first, at its leftmost place; then the same again with what has come about.
    A heap holds the places of all pairs that can be merged, so no merge reads the word anew.
    """
    symbols, n = list(symbols), len(symbols)
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))
    heap: list[tuple[int, int, int, int]] = []

    def offer(left: int, right: int) -> None:
        if left >= 0 and right < n and (rule := rules.get((symbols[left], symbols[right]))):
            heapq.heappush(heap, (rule[0], left, symbols[left], symbols[right]))

    for place in range(n - 1):
        offer(place, place + 1)
    while heap:
        _, left, first, second = heapq.heappop(heap)
        right = after[left]
        if right >= n or (symbols[left], symbols[right]) != (first, second):
            continue  # one of the two has become part of another symbol
        symbols[left], symbols[right] = rules[first, second][1], -1
        after[left] = after[right]
        if after[left] < n:
            before[after[left]] = left
        offer(before[left], left)
        offer(left, after[left])
    return [symbol for symbol in symbols if symbol >= 0]
