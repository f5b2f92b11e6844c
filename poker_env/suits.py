"""Names for suits under which situations that differ only in theirs read the same."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from poker_env.games import RANKS

NAMES = "shdc"
"""In the order they are given out."""

STREETS = ((0, 3), (3, 4), (4, 5))
"""Places of the board's cards that are dealt together, whose order says nothing."""

Cards = tuple[str, ...]


@functools.lru_cache(maxsize=100_000)
def rename_suits(hole: Cards, board: Cards) -> tuple[Cards, Cards]:
    """Hole cards and board (`As`, `Td`) with other names for the suits, high cards first.

    Two situations get the same ones exactly when some exchange of suits turns one into the other: of preflop's 1,326
    holdings 169 are left.
    """
    groups = [hole, *(board[start:end] for start, end in STREETS if start < len(board))]
    best = min(_places(groups, dict(zip(NAMES, order, strict=True))) for order in itertools.permutations(range(4)))
    own, *streets = (tuple(RANKS[-rank] + NAMES[suit] for rank, suit in group) for group in best)
    return own, tuple(itertools.chain(*streets))


def _places(groups: Sequence[Cards], order: dict[str, int]) -> list[list[tuple[int, int]]]:
    """Cards as (how far the rank is from the top, counted from 1; the suit's place), each group's in order."""
    return [sorted((len(RANKS) - RANKS.index(card[0]), order[card[1]]) for card in group) for group in groups]
