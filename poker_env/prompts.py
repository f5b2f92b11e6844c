"""What a language model is told at a decision, and what is made of its answer. Stateless: a prompt says everything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from poker_env.games import Game
from poker_env.menu import MenuItem
from poker_env.state import Move, Observation, position, street_base
from poker_env.suits import rename_suits
from poker_env.thoughts import TOKEN

STYLES = ("compact", "brief", "classic")

ADVICE = ("folds", "worth")
"""What advice may say beside hero's equity and pot odds: how often villain folds, what each action is worth."""

ODDS = "odds"
"""What those two are called beside `ADVICE`."""

Messages = list[dict[str, str]]

GAME_TITLES = {
    "kuhn": "heads-up Kuhn poker",
    "leduc": "heads-up Leduc poker",
    "holdem": "heads-up no-limit Texas Hold'em",
}

COMPACT_TITLES = {"kuhn": "Kuhn poker", "leduc": "Leduc poker", "holdem": "No-limit hold'em"}

CLASSIC_OFFER = re.compile(r"\s*- A\d+: ")
"""How a line begins that offers an action in `classic`."""

COMPACT_OFFERS = re.compile(r"\s*(bet |raise to )?A\d+=\S+( A\d+=\S+)*\s*")
"""A line that offers actions in `compact`."""

BRIEF_OFFERS = re.compile(r"(f c|f|x|c)( [br]\d+(\.\d)?)*( all)?(?<=..)")
"""The line that offers the actions in `brief`, A0, A1, … in its order."""

THINK = "Think in at most {words} words, then"
"""How a prompt tells a model that thinks first how long it may."""

LETTERS = {"fold": "f", "check": "x", "call": "c", "bet": "b", "raise": "r"}


@dataclass(frozen=True)
class Advice:
    """What a good player would estimate at a decision, as `poker_env.knowledge.advisor` works it out."""

    equity: float
    """Hero's share of the pot, 0 to 1, against villain's range if the hand is checked down from here."""
    pot_odds: float | None
    """The equity at which calling breaks even if nobody bets again; None where there is nothing to call."""
    folds: Mapping[int, float]
    """For each bet or raise on the menu, by OpenSpiel's id, how often villain folds to it, 0 to 1."""
    worth: Mapping[int, float]
    """For each action on the menu, what it wins on top of folding if nobody bets after it, in pots."""

    def only(self, parts: Sequence[str]) -> Advice:
        """Without those of `ADVICE` that aren't among the parts."""
        return replace(
            self, folds=self.folds if "folds" in parts else {}, worth=self.worth if "worth" in parts else {}
        )


def build_messages(
    observation: Observation,
    menu: Sequence[MenuItem],
    style: str,
    advice: Advice | None = None,
    words: int | None = None,
) -> Messages:
    """The chat messages for one decision, with advice where there is any.

    A model that thinks first is told in how many `words`; None: it doesn't think.

    In `compact` and `brief` what depends on hole cards comes last, so that a batch shares its prefix, and hold'em's
    suits have names under which situations that differ only in their suits are one prompt. `brief` is `compact` in
    letters and numbers.
    """
    if style == "classic":
        asked = _classic(observation, menu, advice)
        return [{"role": "user", "content": asked if words is None else with_budget(asked, words)}]
    rules, told = (_compact_rules, _compact) if style == "compact" else (_brief_rules, _brief)
    return [
        {"role": "system", "content": rules(observation, words)},
        {"role": "user", "content": told(observation, menu, advice)},
    ]


def with_budget(prompt: str, words: int) -> str:
    """A prompt in full sentences that tells a model in how many words it may think; as it is where it does already."""
    if re.search(THINK.format(words=r"\d+"), prompt):
        return prompt
    return f"{prompt}\n{THINK.format(words=words)} answer with that token alone."


def parse_answer(text: str, menu: Sequence[MenuItem]) -> MenuItem | None:
    """The first legal action token in free text, None when there is none."""
    offers = {item.token: item for item in menu}
    for match in TOKEN.finditer(text):
        if match.group() in offers:
            return offers[match.group()]
    return None


def offered_tokens(prompt: str) -> tuple[str, ...]:
    """The action tokens that a prompt of any style lists, in order; those elsewhere in its text are no offers."""
    lines = prompt.splitlines()
    menus = [line for line in lines if CLASSIC_OFFER.match(line) or COMPACT_OFFERS.fullmatch(line)]
    if menus:
        return tuple(token for menu in menus for token in re.findall(r"\b(A\d+)(?=[:=])", menu))
    menu = next(filter(BRIEF_OFFERS.fullmatch, lines), "")
    return tuple(f"A{index}" for index in range(len(menu.split())))


def _stakes(game: Game) -> str:
    """`No-limit hold'em, 200 big blinds deep`: the big blind is the unit of all amounts, too."""
    amounts = f"{game.stack / game.big_blind:g} big blinds deep" if game.name == "holdem" else "amounts in chips"
    return f"{COMPACT_TITLES[game.name]}, {amounts}"


def _compact_rules(observation: Observation, words: int | None) -> str:
    return f"{_stakes(observation.game)}. {_answer(words)} with one token like A1."


def _brief_rules(observation: Observation, words: int | None) -> str:
    actions = "A0, A1, ... for line 2's actions in order."
    return f"{_stakes(observation.game)}, your moves in capitals. {_answer(words)} {actions}"


def _answer(words: int | None) -> str:
    """`Answer`, or `Think in at most 100 words, then answer`."""
    return "Answer" if words is None else f"{THINK.format(words=words)} answer"


def _brief(observation: Observation, menu: Sequence[MenuItem], advice: Advice | None) -> str:
    betting = "/".join(" ".join(_brief_move(observation, move) for move in own) for own in _by_street(observation))
    header = f"{_seat(observation)} {betting}".rstrip() + f", pot {_bb(observation, observation.pot)}"
    if observation.to_call:
        header += f", call {_bb(observation, observation.to_call)}"
    hole, board = _cards(observation)
    lines = [
        header,
        " ".join(_brief_offer(observation, item) for item in menu),
        f"board {' '.join(board)} hand {' '.join(hole)}" if board else f"hand {' '.join(hole)}",
    ]
    if advice is not None:
        lines.append(_brief_advice(advice, menu))
    return "\n".join(lines)


def _brief_move(observation: Observation, move: Move) -> str:
    letter = LETTERS[move.kind].upper() if move.seat == observation.seat else LETTERS[move.kind]
    if move.kind not in ("bet", "raise"):
        return letter
    return letter + _move_size(observation, move)


def _brief_offer(observation: Observation, item: MenuItem) -> str:
    if item.kind not in ("bet", "raise"):
        return LETTERS[item.kind]
    return "all" if item.all_in else LETTERS[item.kind] + _offer_size(observation, item)


def _brief_advice(advice: Advice, menu: Sequence[MenuItem]) -> str:
    """`equity 54/33 folds 30 80 worth 0 31 -8 -40`, in percent, in the order of the actions."""
    need = "" if advice.pot_odds is None else f"/{100 * advice.pot_odds:.0f}"
    folds, worth = _folds(advice, menu), " ".join(f"{own}" for _, own in _worth(advice, menu))
    told = f"equity {100 * advice.equity:.0f}{need}" + (f" folds {folds}" if folds else "")
    return told + (f" worth {worth}" if worth else "")


def _folds(advice: Advice, menu: Sequence[MenuItem]) -> str:
    """`30 80`: how often villain folds, in percent, in the order of the raises."""
    return " ".join(f"{100 * advice.folds[item.action]:.0f}" for item in menu if item.action in advice.folds)


def _worth(advice: Advice, menu: Sequence[MenuItem]) -> list[tuple[MenuItem, int]]:
    """What each action is worth, in percent of the pot, where that is told."""
    return [(item, round(100 * advice.worth[item.action])) for item in menu if item.action in advice.worth]


def _best_first(worth: list[tuple[MenuItem, int]]) -> list[tuple[MenuItem, int]]:
    """A small model reads what comes first sooner than it compares numbers."""
    return sorted(worth, key=lambda told: -told[1])


def _by_street(observation: Observation) -> list[list[Move]]:
    return [[move for move in observation.moves if move.street == street] for street in range(observation.street + 1)]


def _move_size(observation: Observation, move: Move) -> str:
    return _bb(observation, move.to - _street_base(observation, move.street))


def _seat(observation: Observation) -> str:
    name = position(observation.game, observation.seat)
    return {"big blind": "BB", "button": "BTN"}.get(name, name)


def _cards(observation: Observation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hole cards and board, in hold'em with suits renamed."""
    if observation.game.name == "holdem":
        return rename_suits(observation.hole, observation.board)
    return observation.hole, observation.board


def _compact(observation: Observation, menu: Sequence[MenuItem], advice: Advice | None) -> str:
    street = observation.game.streets[observation.street]
    header = f"{street}, {_seat(observation)}, pot {_bb(observation, observation.pot)}"
    if observation.to_call:
        header += f", to call {_bb(observation, observation.to_call)}"
    passive = [item for item in menu if item.kind not in ("bet", "raise")]
    raises = [item for item in menu if item.kind in ("bet", "raise")]
    lines = [header, *_compact_history(observation), " ".join(f"{item.token}={item.kind}" for item in passive)]
    if raises:
        verb = "bet" if raises[0].kind == "bet" else "raise to"
        lines.append(f"{verb} " + " ".join(f"{item.token}={_offer_size(observation, item)}" for item in raises))
    hole, board = _cards(observation)
    if board:
        lines.append("Board " + " ".join(board))
    lines.append("Hand " + " ".join(hole))
    if advice is not None:
        lines.append(_compact_advice(advice, menu))
    return "\n".join(lines)


def _compact_advice(advice: Advice, menu: Sequence[MenuItem]) -> str:
    """`Equity 54%, need 33%. Folds 30 80%.` in the order of the raises; below it `Worth A1 31 A0 0 A2 -8 A3 -40%`."""
    need = "" if advice.pot_odds is None else f", need {advice.pot_odds:.0%}"
    folds = _folds(advice, menu)
    worth = " ".join(f"{item.token} {own}" for item, own in _best_first(_worth(advice, menu)))
    told = f"Equity {advice.equity:.0%}{need}." + (f" Folds {folds}%." if folds else "")
    return told + (f"\nWorth {worth}%" if worth else "")


def _offer_size(observation: Observation, item: MenuItem) -> str:
    return "all-in" if item.all_in else _bb(observation, item.to - _street_base(observation))


def _compact_history(observation: Observation) -> list[str]:
    """The betting in one line, a slash between streets: `opp raise 3, you call / opp check`; no line before any."""
    streets = [", ".join(_compact_move(observation, move) for move in own) for own in _by_street(observation)]
    return [" / ".join(filter(None, streets))] if observation.moves else []


def _compact_move(observation: Observation, move: Move) -> str:
    who = "you" if move.seat == observation.seat else "opp"
    if move.kind not in ("bet", "raise"):
        return f"{who} {move.kind}"
    return f"{who} {move.kind} {_move_size(observation, move)}"


def _classic(observation: Observation, menu: Sequence[MenuItem], advice: Advice | None) -> str:
    game = observation.game
    stakes = (
        f"Blinds: small blind {game.small_blind}, big blind {game.big_blind}."
        if game.name == "holdem"
        else "Ante: 1 chip each."
    )
    history = "; ".join(_classic_move(observation, move) for move in observation.moves) or "none"
    hole = "Your hole cards" if len(observation.hole) > 1 else "Your card"
    return "\n".join(
        [
            f"You are playing {GAME_TITLES[game.name]}.",
            stakes,
            f"Street: {game.streets[observation.street]}",
            f"Your position: {position(game, observation.seat)}",
            f"Board cards: {' '.join(observation.board) or 'none'}",
            f"{hole}: {' '.join(observation.hole)}",
            f"Pot size: {observation.pot}",
            f"Betting so far: {history}",
            *(_classic_advice(advice, menu) if advice is not None else ()),
            "",
            "Legal actions:",
            *(f"- {item.token}: {_classic_item(observation, item)}" for item in menu),
            "",
            "Respond with exactly ONE action token from the list above.",
        ]
    )


def _classic_advice(advice: Advice, menu: Sequence[MenuItem]) -> list[str]:
    lines = [f"Your equity against the opponent's range: {advice.equity:.0%}"]
    if advice.pot_odds is not None:
        lines.append(f"Equity needed to call: {advice.pot_odds:.0%}")
    folds = [f"{item.token} {advice.folds[item.action]:.0%}" for item in menu if item.action in advice.folds]
    if folds:
        lines.append("How often the opponent folds: " + ", ".join(folds))
    worth = ", ".join(f"{item.token} {own}%" for item, own in _best_first(_worth(advice, menu)))
    return [*lines, *([f"Share of the pot won if nobody bets after it: {worth}"] if worth else [])]


def _classic_item(observation: Observation, item: MenuItem) -> str:
    all_in = " (all-in)" if item.all_in else ""
    match item.kind:
        case "fold":
            return "Fold (give up the pot)."
        case "check":
            return "Check (no chips added)."
        case "call":
            return f"Call {item.added}{all_in}."
        case "bet":
            return f"Bet {item.added} into the pot{all_in}."
        case _:
            return f"Raise to {item.to - _street_base(observation)}, adding {item.added}{all_in}."


def _classic_move(observation: Observation, move: Move) -> str:
    who = "you" if move.seat == observation.seat else "opponent"
    street = observation.game.streets[move.street].lower()
    amount = move.to - _street_base(observation, move.street)
    verb = move.kind if who == "you" else f"{move.kind}s"
    match move.kind:
        case "bet":
            return f"{street} {who} {verb} {amount}"
        case "raise":
            return f"{street} {who} {verb} to {amount}"
        case _:
            return f"{street} {who} {verb}"


def _street_base(observation: Observation, street: int | None = None) -> int:
    return street_base(observation.game, observation.moves, observation.street if street is None else street)


def _bb(observation: Observation, chips: float) -> str:
    """An amount in big blinds (antes in Kuhn and Leduc): one decimal below 10, whole numbers above."""
    amount = chips / observation.game.big_blind
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}".removesuffix(".0")
