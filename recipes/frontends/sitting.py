"""A sitting: a person, or a player who is watched, plays hand after hand against a player. Without any front end.

`recipes/frontends/terminal.py` and `recipes/frontends/web.py` show what a `Sitting` says and tell it what was chosen.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, estimate
from poker_env.files import write_atomically
from poker_env.games import Game, make_deals
from poker_env.hand import Answer, Decision, Hand, write_hands
from poker_env.histories.phh import write_phhs
from poker_env.histories.steps import action_in_words, contested_pot
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.menu import MenuItem, make_menu
from poker_env.players.base import Player
from poker_env.players.poker_config import PokerConfig
from poker_env.state import Move, Observation, street_base
from poker_env.table import LiveHand
from recipes.frontends.words import offer_in_words, result_in_words, short_name

SITTING = "sitting.json"
"""What a sitting's result is saved as."""
ENOUGH_HANDS = 30
"""With fewer a 95 % interval isn't worth printing: what happens once in ten hands may not have happened yet."""


@dataclass(frozen=True)
class Option:
    """An action on a player's menu, and how probable it was."""

    text: str
    probability: float
    taken: bool


@dataclass(frozen=True)
class Thought:
    """What villain thought at one of its decisions."""

    street: str
    hole: tuple[str, ...]
    board: tuple[str, ...]
    options: tuple[Option, ...]
    nothing: float
    """How probable an answer was that names no legal action."""
    said: str
    """A language model's words."""
    mused: str | None = None
    """What it thought before them, word for word; None for one that doesn't think first."""


@dataclass(frozen=True)
class Event:
    """One action of the hand, in words."""

    by_hero: bool
    street: int
    text: str


@dataclass(frozen=True)
class TableView:
    """What hero's side of the table looks like. Chips; pairs are (hero, villain)."""

    street: str
    board: tuple[str, ...]
    pot: int
    """In the middle, bets of this street included; of a finished hand what was played for."""
    stacks: tuple[int, int]
    bets: tuple[int, int]
    """Put in on this street."""
    hole: tuple[str, ...]
    villain_hole: tuple[str, ...] | None
    """None as long as hero may not see it."""
    hero_acts_first: bool
    """Of the hand: hold'em's button."""
    over: bool


@dataclass
class Sitting:
    """Hands against `villain`, one after another; hero changes seats. The cards are those that `seed` names.

    `deal` starts a hand and lets villain act until hero is to; `act` answers for hero. A finished hand is in `hands`
    at once. With a `hero`, who then answers for itself, a hand is over when it is dealt.
    """

    game: Game
    villain: Player
    seed: int
    hero: Player | None = None
    """None: a person, who plays through `act`."""
    hands: list[Hand] = field(default_factory=list)
    taken_back: int = 0
    """How many choices were taken back."""
    number: int = 0
    """Of the hand on the table, from 1."""
    revealed: bool = False
    """Whether hero has seen villain's cards of this hand."""
    live: LiveHand = field(init=False)

    def __post_init__(self) -> None:
        self.deal()

    def deal(self) -> None:
        """The next hand; one that isn't over is dropped and counts for nothing."""
        self.number += 1
        self.revealed = False
        self.live = LiveHand(self.game, make_deals(self.game, 1, self.seed, self.number - 1)[0])
        self._play_on()

    @property
    def over(self) -> bool:
        """Whether the hand on the table is over; else hero is to act."""
        return self.live.state.done

    @property
    def observation(self) -> Observation:
        """What hero, who is to act, may know."""
        return self.live.observe()

    @property
    def menu(self) -> tuple[MenuItem, ...]:
        """What hero is offered; other sizes are legal, too (`raise_action`)."""
        return make_menu(self.observation)

    @property
    def names(self) -> tuple[str, str]:
        """What hero and villain are called at the table; a person is `You`, of a long path the end is told."""
        villain = short_name(self.villain.name)
        hero = "You" if self.hero is None else short_name(self.hero.name)
        return (f"{hero} (hero)", f"{villain} (villain)") if hero == villain else (hero, villain)

    @property
    def hand(self) -> Hand:
        """The finished hand on the table."""
        return self.hands[-1]

    def act(self, action: int) -> None:
        """Play OpenSpiel's `action` for hero, then villain's answers. Raises `UserError` when it is illegal."""
        if self.over:
            raise UserError("the hand is over: deal the next one")
        require_legal(self.observation, action)
        self.live.decide(Answer(action))
        self._play_on()

    @property
    def can_take_back(self) -> bool:
        """Whether hero's last choice can be taken back: no card was turned over since, of the board or villain's.

        What villain answered may have been seen. It answers the same choice in the same way again: its coin is a hash
        of the deal's seed and the betting.
        """
        last = self._last_choice()
        if self.hero is not None or last is None or self.revealed or self.live.state.showdown:
            return False
        return self.live.state.street == self.live.decisions[last].street

    def take_back(self) -> None:
        """Take hero's last choice back. Raises `UserError` when it can't be."""
        last = self._last_choice()
        if last is None or not self.can_take_back:
            raise UserError(
                "nothing to take back: a card was turned over since your last choice, or there is none yet"
            )
        if self.over:
            self.hands.pop()
        kept = self.live.decisions[:last]
        self.live = LiveHand(self.game, self.live.state.deal)
        for decision in kept:
            self.live.decide(decision.answer)
        self.taken_back += 1

    def reveal(self) -> None:
        """Show hero villain's cards of a hand that is over. Raises `UserError` before that."""
        if not self.over:
            raise UserError("villain's cards and thoughts are shown when the hand is over")
        self.revealed = True

    def thoughts(self) -> list[Thought]:
        """What villain thought in the hand, which is over, decision by decision; its cards are shown with it.

        Empty where villain had nothing to decide. Raises `UserError` when it isn't one that `tells_thoughts`.
        """
        self.reveal()
        if not tells_thoughts(self.villain):
            raise UserError(f"{self.names[1]} can't say how probable its actions were")
        seat = 1 - self.hand.hero_seat
        asked = self.hand.observations(seat)
        own = [decision for decision in self.hand.decisions if decision.seat == seat]
        policies: list[dict[int, float]] = [{} for _ in asked]
        if isinstance(self.villain, KnowsItsPolicy):
            policies = self.villain.policy(asked)
        return list(map(_thought, asked, own, policies))

    def events(self) -> list[Event]:
        """What was done in the hand so far."""
        moves, seat = self.live.state.moves, self.live.state.deal.hero_seat
        return [_event(self.game, item, moves, seat, self.names) for item in self.live.decisions]

    def view(self) -> TableView:
        """The table as hero sees it."""
        state = self.live.state
        hero, villain = state.deal.hero_seat, 1 - state.deal.hero_seat
        base = street_base(self.game, state.moves, state.street)
        put_in = state.contributions[hero], state.contributions[villain]
        pot, stacks = sum(put_in), (self.game.stack - put_in[0], self.game.stack - put_in[1])
        bets = put_in[0] - base, put_in[1] - base
        if self.over:
            won = round(self.hand.payoff)
            pot, stacks, bets = contested_pot(self.hand), (self.game.stack + won, self.game.stack - won), (0, 0)
        shown = self.over and (state.showdown or self.revealed or self.hero is not None)
        return TableView(
            street=self.game.streets[state.street],
            board=state.board,
            pot=pot,
            stacks=stacks,
            bets=bets,
            hole=state.hole(hero),
            villain_hole=state.hole(villain) if shown else None,
            hero_acts_first=hero == (1 if self.game.name == "holdem" else 0),
            over=self.over,
        )

    def result_in_words(self) -> str:
        """How the hand on the table, which is over, ended."""
        return result_in_words(self.hand, *self.names)

    @property
    def chips(self) -> int:
        """What hero has won so far."""
        return round(sum(hand.payoff for hand in self.hands))

    @property
    def estimate(self) -> Estimate | None:
        """Hero's win rate over the finished hands, each of its own deck; None before the first one."""
        return estimate([1000 * hand.payoff_bb for hand in self.hands], len(self.hands)) if self.hands else None

    def summary(self) -> str:
        """The result so far in one line: bb, and from `ENOUGH_HANDS` on mbb/hand with its 95 % interval."""
        found, count = self.estimate, len(self.hands)
        if found is None:
            return "no hand finished yet"
        unit = "bb" if self.game.name == "holdem" else "antes"
        won = f"{count:,} hand{'s' if count > 1 else ''}: {self.chips / self.game.big_blind:+,.1f} {unit}"
        if self.taken_back:
            won += f" ({self.taken_back} choice{'s' if self.taken_back > 1 else ''} taken back)"
        if count < ENOUGH_HANDS:
            return f"{won}; too few to tell who is better (an interval from {ENOUGH_HANDS} hands on)"
        if found.ci95 is None:
            return f"{won}, {found.mbb_per_hand:+,.0f} mbb/hand: all hands alike, which says nothing of others"
        low, high = found.ci95
        verdict = "winning" if low > 0 else "losing" if high < 0 else "open"
        return f"{won}, {found.mbb_per_hand:+,.0f} mbb/hand, 95 % interval {low:+,.0f} to {high:+,.0f}: {verdict}"

    def save(self, folder: Path) -> None:
        """Write the finished hands as `hands.jsonl` (hold'em: `hands.phhs`, too) and the result as `sitting.json`.

        Raises `UserError` when they can't be written.
        """
        names = "human" if self.hero is None else self.hero.name, self.villain.name
        write_hands(folder / "hands.jsonl", self.hands)
        if self.game.name == "holdem":
            write_phhs(folder / "hands.phhs", self.hands, *names)
        record = {"game": str(self.game), "hero": names[0], "villain": names[1], "seed": self.seed}
        record |= {"hands": len(self.hands), "chips": self.chips, "taken_back": self.taken_back}
        found = self.estimate
        write_atomically(
            folder / SITTING,
            json.dumps(record | {"estimate": asdict(found) if found else None}, indent=2) + "\n",
        )

    def _play_on(self) -> None:
        """Let the players who are no persons act until hero is to, or the hand is over."""
        while not self.over:
            player = self.hero if self.live.hero_to_act else self.villain
            if player is None:
                return
            self.live.decide(player.act([self.live.observe()])[0])
        self.hands.append(self.live.finished())

    def _last_choice(self) -> int | None:
        """The place of hero's last decision among the hand's."""
        seat = self.live.state.deal.hero_seat
        places = [place for place, decision in enumerate(self.live.decisions) if decision.seat == seat]
        return places[-1] if places else None


def tells_thoughts(player: Player) -> bool:
    """Whether it can say what it thought: how probable its actions were, or in words."""
    config = getattr(player, "config", None)
    return isinstance(player, KnowsItsPolicy) or (isinstance(config, PokerConfig) and config.thinking)


def require_legal(observation: Observation, action: int) -> None:
    """Raise `UserError` when OpenSpiel's `action` is illegal, saying what is legal."""
    if action in observation.legal:
        return
    lowest, stack = observation.min_raise_to, observation.game.stack
    if lowest is not None and lowest <= action <= stack:
        return
    if action in (0, 1):
        raise UserError("checking is free: no need to fold" if action == 0 else "that is not legal now")
    if lowest is None:
        raise UserError("you can't raise any more: call or fold" if observation.to_call else "you can't bet any more")
    base = street_base(observation.game, observation.moves, observation.street)
    sizes = f"{lowest - base:,} to {stack - base:,}" if lowest < stack else f"{stack - base:,}, all-in"
    raise UserError(f"a bet or raise to {action - base:,} is not legal: {sizes} is")


def raise_action(observation: Observation, amount: int) -> int:
    """The action that bets `amount` chips or raises to it, of this street as players say it.

    Raises `UserError` when that is illegal.
    """
    if observation.game.name != "holdem":
        raise UserError(f"there is one size to bet in {observation.game.name}: leave the amount out")
    action = amount + street_base(observation.game, observation.moves, observation.street)
    if action < 2:  # OpenSpiel's fold and call
        raise UserError(f"{amount} is no amount to bet")
    require_legal(observation, action)
    return action


def _event(game: Game, decision: Decision, moves: list[Move], hero_seat: int, names: tuple[str, str]) -> Event:
    by_hero = decision.seat == hero_seat
    words = action_in_words(game, decision, street_base(game, moves, decision.street))
    if by_hero and names[0] == "You":
        words = re.sub(r"^(\w+?)s\b", r"\1", words).replace(" is all-in", " are all-in")
    return Event(by_hero, decision.street, f"{names[0] if by_hero else names[1]} {words}")


def _thought(observation: Observation, decision: Decision, policy: dict[int, float]) -> Thought:
    offers = {item.action: item for item in make_menu(observation)}
    bet = next((item for item in offers.values() if item.kind in ("bet", "raise")), None)

    def offer(action: int) -> MenuItem:
        """Of an action that may be no size of the menu."""
        if action in offers or bet is None:
            return offers[action]
        added, all_in = action - observation.contributions[observation.seat], action >= observation.game.stack
        return replace(bet, action=action, to=action, added=added, all_in=all_in)

    taken = decision.move.action if decision.move else None
    options = tuple(
        Option(offer_in_words(observation, offer(action)), probability, action == taken)
        for action, probability in sorted(policy.items())
    )
    return Thought(
        street=observation.game.streets[observation.street],
        hole=observation.hole,
        board=observation.board,
        options=options,
        nothing=max(0.0, 1.0 - sum(policy.values())) if policy else 0.0,
        said=decision.answer.completion,
        mused=decision.answer.thought,
    )
