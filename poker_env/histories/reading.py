"""Files of hand histories read into our records: what fits, what was left out and why, what is broken and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from poker_env.errors import UserError
from poker_env.hand import Hand
from poker_env.histories.from_phh import split_phh, tell_phh
from poker_env.histories.from_pokerstars import split_pokerstars, tell_pokerstars
from poker_env.histories.told import Broken, LeftOut, Piece, Told, retell

PHH = (".phh", ".phhs")
SUFFIXES = (*PHH, ".txt")
"""Of the files that are taken from a folder."""


@dataclass
class Histories:
    """The hands of some files, seen from hero's side."""

    hands: list[Hand] = field(default_factory=list)
    heroes: Counter[str] = field(default_factory=Counter)
    """How many hands hero played under each name."""
    villains: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """By reason, the places of hands that may be right but don't fit."""
    broken: list[str] = field(default_factory=list)
    """Files and hands that can't be read: a line each, with the place."""
    raked: int = 0
    """Hands whose pot was raked; payoffs are before that."""
    rake: Decimal = Decimal(0)
    """Of all pots, in big blinds."""

    def leave_out(self, reason: str, piece: Piece) -> None:
        """Note a hand that doesn't fit."""
        self.left_out.setdefault(reason, []).append(str(piece))


def read_histories(
    paths: Sequence[Path],
    hero: str | None = None,
    watch: Callable[[Sequence[Piece]], Iterable[Piece]] = iter,
) -> Histories:
    """The hands of heads-up no-limit hold'em in PHH files and PokerStars' texts, in their order.

    `hero` is a player's name; None: in each hand, whose cards alone are dealt openly. All amounts are scaled by the
    same power of ten, the smallest that makes chips of them. `watch` hands the pieces on, and may show how far they
    are. Raises `UserError` when no hand fits, and for a hero who isn't there.
    """
    found = Histories()
    pieces = [piece for path in _files(paths) for piece in _pieces(path, found)]
    told = _tell(pieces, found, watch)
    scale = 10 ** max((places for _, _, places in told), default=0)
    unnamed: Counter[str] = Counter()
    for piece, hand, _ in told:
        try:
            seat = _hero_seat(hand, hero)
            retold = retell(hand, seat, scale)
        except LeftOut as error:
            found.leave_out(str(error), piece)
            unnamed.update(hand.names)
        except Broken as error:
            found.broken.append(f"{piece}: {error}")
        else:
            found.hands.append(retold.hand)
            found.heroes[hand.names[seat]] += 1
            found.villains[hand.names[1 - seat]] += 1
            found.raked += retold.rake > 0
            found.rake += retold.rake
    if not found.hands:
        raise UserError(_nothing(found, hero, unnamed))
    return found


def _files(paths: Iterable[Path]) -> list[Path]:
    """Those given, and in the place of a folder the histories in it."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not inside:
            raise UserError(f"the folder {path} has no {', '.join(SUFFIXES)} files: name some with hand histories")
        files += inside
    return files


def _pieces(path: Path, found: Histories) -> list[Piece]:
    """A file's hands; what is wrong with a file is noted."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        found.broken.append(f"{path}: can't be read: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        found.broken.append(f"{path}: no UTF-8 text (byte {error.start + 1}): save it as UTF-8")
        return []
    text = text.replace("\r\n", "\n").replace("\ufeff", "")
    if not text.strip():
        found.broken.append(f"{path}: empty")
        return []
    if path.suffix.lower() in PHH:
        return list(split_phh(str(path), text))
    pieces = list(split_pokerstars(str(path), text))
    if not pieces:
        foreign = "PokerStars" in text[:2000]
        known = "a PokerStars text that isn't in English" if foreign else "neither PokerStars' text nor .phh or .phhs"
        found.broken.append(f"{path}: {known}")
    return pieces


def _tell(
    pieces: Sequence[Piece], found: Histories, watch: Callable[[Sequence[Piece]], Iterable[Piece]]
) -> list[tuple[Piece, Told, int]]:
    """What each piece tells, and how many decimals that needs."""
    told: list[tuple[Piece, Told, int]] = []
    seen: set[str] = set()
    for piece in watch(pieces):
        phh = Path(piece.file).suffix.lower() in PHH
        try:
            if not phh and piece.text.strip() in seen:  # it has a number and a time, so it is the same hand
                raise LeftOut("told before")
            hand = tell_phh(piece) if phh else tell_pokerstars(piece)
            told.append((piece, hand, hand.places))
        except LeftOut as error:
            found.leave_out(str(error), piece)
        except Broken as error:
            found.broken.append(f"{piece}: {error}")
        seen.add(piece.text.strip())
    return told


def _hero_seat(told: Told, hero: str | None) -> int:
    if hero is None:
        if told.dealt_to is None:
            raise LeftOut("it doesn't say who hero is")
        return told.dealt_to
    if hero not in told.names:
        raise LeftOut(f"{hero} isn't in it")
    return told.names.index(hero)


def _nothing(found: Histories, hero: str | None, names: Counter[str]) -> str:
    """Why no hand is left, in one line."""
    listed = ", ".join(repr(name) for name, _ in names.most_common(10)) + (", …" if len(names) > 10 else "")
    if hero is None and names and set(found.left_out) & {"it doesn't say who hero is"}:
        return f"these hands don't say who hero is: give --hero NAME, one of {listed}"
    if hero is not None and names and hero not in names:
        return f"--hero {hero!r} is in none of these hands: name one of {listed}"
    reasons = [f"{reason} ({len(places):,})" for reason, places in found.left_out.items()]
    if found.broken:
        reasons.append(found.broken[0] + (f" (and {len(found.broken) - 1:,} more)" if found.broken[1:] else ""))
    return f"no hand of heads-up no-limit hold'em can be read: {'; '.join(reasons)}"
