"""What happens at the table in words for people: players' names, offers, results."""

from __future__ import annotations

from poker_env.hand import Hand
from poker_env.histories.pokerstars import made_hand
from poker_env.menu import MenuItem
from poker_env.state import Observation, street_base


def short_name(spec: str) -> str:
    """A player's spec with the last two parts of a path: `llm:quickstart/best`."""
    kind, colon, argument = spec.partition(":")
    return kind + colon + "/".join(argument.rstrip("/").split("/")[-2:])


def offer_in_words(observation: Observation, item: MenuItem) -> str:
    """An offer for people: `call 150`, `bet 175 (33 % pot)`, `raise to 600 (75 % pot)`, `all-in 20,000`."""
    if item.kind in ("fold", "check"):
        return item.kind
    if item.kind == "call":
        return f"call {item.added:,}"
    to = item.to - street_base(observation.game, observation.moves, observation.street)
    if item.all_in:
        return f"all-in {to:,}"
    verb = "bet" if item.kind == "bet" else "raise to"
    fraction = (item.added - observation.to_call) / (observation.pot + observation.to_call)
    share = f" ({100 * fraction:.0f} % pot)" if observation.game.name == "holdem" else ""
    return f"{verb} {to:,}{share}"


def result_in_words(hand: Hand, hero: str, villain: str) -> str:
    """Who won what (net chips) and why, such as `You win 400 at showdown: a pair of Aces against a pair of Kings`."""
    won = round(hand.payoff)
    name = hero if won > 0 else villain
    wins = "win" if name == "You" else "wins"
    text = "The pot is split" if won == 0 else f"{name} {wins} {abs(won):,}"
    if not hand.showdown:
        return text if won == 0 else f"{text} without a showdown"
    if hand.game.name != "holdem":
        return f"{text} at showdown"
    own, other = (made_hand(hand.hole[seat], hand.board) for seat in (hand.hero_seat, 1 - hand.hero_seat))
    first, second = (own, other) if won >= 0 else (other, own)
    against = f" against {second}" if first != second or won == 0 else ", by the other cards"
    return f"{text} at showdown: {first}{against}"
