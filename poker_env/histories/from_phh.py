"""Hands read from PHH files, one hand each (`.phh`) or many (`.phhs`).

pokerkit reads a hand's fields; what they mean is said in the specification, https://phh.readthedocs.io. Heads-up its
first player posts the big blind although blinds are listed small first, and a negative blind is paid, too.
"""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from pokerkit import HandHistory

from poker_env.errors import first_line
from poker_env.histories.told import Act, Broken, LeftOut, Piece, Told, cards_of, only_dealt

_TITLE = re.compile(r"^\[\s*([^\[\],'\"]+|'[^']*'|\"[^\"]*\")\s*\]\s*$", re.MULTILINE)


def split_phh(file: str, text: str) -> Iterator[Piece]:
    """Each hand of a file's text; a `.phh` file is one."""
    titles = list(_TITLE.finditer(text)) if file.lower().endswith(".phhs") else []
    if not titles:
        yield Piece(file, 1, "1", text)
    ends = [*(found.start() for found in titles[1:]), len(text)]
    for found, end in zip(titles, ends, strict=False):
        line = 1 + text.count("\n", 0, found.start())
        yield Piece(file, line, found[1].strip(), text[found.end() : end])


def tell_phh(piece: Piece) -> Told:
    """A hand as its text tells it. Raises `LeftOut` for another game, `Broken` for what is no PHH."""
    history = _fields(piece.text)
    if history.variant != "NT":
        raise LeftOut("another game than no-limit hold'em")
    stacks = _numbers("starting_stacks", history.starting_stacks)
    if len(stacks) != 2:
        raise LeftOut("other than two players")
    if any(_numbers("antes", history.antes)):
        raise LeftOut("antes")
    blinds = _numbers("blinds_or_straddles", history.blinds_or_straddles)
    if len(blinds) != 2:
        raise Broken(f"blinds_or_straddles: {len(blinds)} for two players")
    small, big = abs(blinds[0]), abs(blinds[1])
    if _numbers("min_bet", [history.min_bet]) != [big]:
        raise LeftOut("a least bet other than the big blind")
    names = history.players or ["p1", "p2"]
    if len(names) != 2 or not all(isinstance(name, str) for name in names) or names[0] == names[1]:
        raise Broken(f"players: two different names are needed, not {names}")
    hole, board, acts, mucked = _actions(history.actions)
    return Told(
        names=(names[0], names[1]),
        stacks=(stacks[0], stacks[1]),
        blinds=(small, big),
        hole=(hole[0], hole[1]),
        dealt_to=only_dealt(hole),
        board=board,
        acts=tuple(acts),
        collected=_pair("winnings", history.winnings),
        finishing=_pair("finishing_stacks", history.finishing_stacks),
        mucked=mucked,
    )


def _fields(text: str) -> HandHistory:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of fields it doesn't know
            return HandHistory.loads(text, parse_value=Decimal)  # type: ignore[arg-type]
    except tomllib.TOMLDecodeError as error:
        raise Broken(f"no TOML: {first_line(error)}") from error
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise Broken(f"no PHH: {first_line(error)}") from error


def _actions(
    actions: Any,
) -> tuple[list[tuple[str, ...]], tuple[str, ...], list[Act], frozenset[int]]:
    """Both players' cards, the board, what they did, and who mucked."""
    if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
        raise Broken("actions: a list of texts is needed")
    hole: list[tuple[str, ...]] = [(), ()]
    board: tuple[str, ...] = ()
    acts: list[Act] = []
    mucked = set()
    for number, action in enumerate(actions, start=1):
        place = f"action {number} {action!r}"
        match action.partition("#")[0].split():
            case ["d", "dh", player, cards]:
                _show(hole, _seat(player, place), cards, place)
            case ["d", "db", cards]:
                board += _known(cards, place)
                if len(board) not in (3, 4, 5):
                    raise Broken(f"{place}: {len(board)} cards on the board")
            case [player, "f"]:
                acts.append(Act(_seat(player, place), _street(board), "fold", None, place))
            case [player, "cc"]:
                acts.append(Act(_seat(player, place), _street(board), "cc", None, place))
            case [player, "cbr", amount]:
                acts.append(Act(_seat(player, place), _street(board), "cbr", _amount(amount, place), place))
            case [player, "sm"]:
                mucked.add(_seat(player, place))
            case [player, "sm", cards]:
                _show(hole, _seat(player, place), cards, place)
            case []:  # a remark
                pass
            case _:
                raise Broken(f"{place}: an unknown action")
    return hole, board, acts, frozenset(mucked)


def _show(hole: list[tuple[str, ...]], seat: int, cards: str, place: str) -> None:
    """Note a player's cards, unless they are `????`; `-` mucks them."""
    if "?" in cards or cards == "-":
        return
    own = _known(cards, place)
    if len(own) != 2:
        raise Broken(f"{place}: {len(own)} hole cards")
    if hole[seat] and set(hole[seat]) != set(own):
        raise Broken(f"{place}: other cards than {''.join(hole[seat])}, which were dealt")
    hole[seat] = own


def _known(cards: str, place: str) -> tuple[str, ...]:
    try:
        return cards_of(cards)
    except Broken as error:
        raise Broken(f"{place}: {error}") from error


def _seat(player: str, place: str) -> int:
    if player not in ("p1", "p2"):
        raise Broken(f"{place}: {player} is none of two players")
    return int(player[1]) - 1


def _street(board: Sequence[str]) -> int:
    return max(0, len(board) - 2)


def _amount(text: str, place: str) -> Decimal:
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise Broken(f"{place}: {text} is no amount")
    return Decimal(text)


def _pair(field: str, values: Any) -> tuple[Decimal, Decimal] | None:
    if values is None:
        return None
    found = _numbers(field, values)
    if len(found) != 2:
        raise Broken(f"{field}: {len(found)} for two players")
    return found[0], found[1]


def _numbers(field: str, values: Any) -> list[Decimal]:
    if not isinstance(values, list) or not all(isinstance(value, int | Decimal) for value in values):
        raise Broken(f"{field}: a list of numbers is needed, not {values!r}"[:200])
    found = [Decimal(value) for value in values]
    if not all(value.is_finite() for value in found):
        raise LeftOut("stacks or blinds without a number")
    return found
