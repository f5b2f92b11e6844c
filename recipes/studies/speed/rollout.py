"""How fast hands are played with a language model: ours, against the plain loop, against the least that can be done.

`python recipes/bench.py rollout`. Each side plays in a process of its own, from the same deals.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.language_model.adapter import WEIGHTS
from poker_env.language_model.bundled import BUNDLED
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_llm_player, make_player
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import Answers, PokerConfig
from poker_env.state import CALL, Observation
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.studies.speed import against
from recipes.studies.speed.children import in_child
from recipes.studies.speed.figures import Figure, Figures
from recipes.studies.speed.least_work import bare_seconds
from recipes.studies.speed.plain_loop import PlainHero, play_plainly
from recipes.studies.speed.probe import clock, peak_mb, tokens_needed
from recipes.studies.speed.shapes import parse_shape, save_shape

PLAIN = "plain loop"

ELSEWHERE = 1_000_000
"""Number of a deal that isn't measured."""


@dataclass(frozen=True)
class Sitting:
    """Who plays what."""

    model: str
    """A model's name, or its adapter's folder."""
    hands: int
    plain_hands: int
    seed: int
    calls: bool
    """Whether an answer that names no action is a call: random weights name none, and hands would end at once."""


@dataclass(frozen=True)
class Played:
    """What a side's hands took."""

    hands: int
    decisions: int
    legal: int
    seconds: float
    peak_mb: float
    given: int
    """Tokens of all prompts, and of the answers that were sampled."""
    forwarded: int
    """Tokens that went through the model."""
    distinct: int = 0
    """Tokens of the distinct prompts."""
    needed: int = 0
    """Tokens that some answer needed, what texts share at their beginning counted once."""
    bare_seconds: float = 0.0
    """Of a bare pass over those."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `python recipes/bench.py rollout` takes."""
    parser.add_argument("--hands", type=int, default=64, help="hands to play")
    parser.add_argument("--plain-hands", type=int, default=6, help="hands for the plain loop, which is slow")
    parser.add_argument("--model", default=BUNDLED, help="a folder, a Hub id, or smollm2-135m")
    parser.add_argument("--adapter", type=Path, help="an adapter's folder to play with; it names its model itself")
    parser.add_argument("--shape", help="random weights instead: qwen2.5-3b, or hidden=2048,layers=36,…")
    parser.add_argument("--seed", type=int, default=0, help="of the deals")
    against.add_options(parser)


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    if options.rest:
        raise UserError(f"unknown options {' '.join(options.rest)} (see --help)")
    against.check(options)
    for name in ("hands", "plain_hands"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: play at least one")
    if options.shape is not None:
        if options.adapter is not None:
            raise UserError(f"--shape {options.shape} has random weights: leave --adapter out")
        parse_shape(options.shape)
    if options.adapter is not None and not (options.adapter / WEIGHTS).is_file():
        raise UserError(f"--adapter {options.adapter} is no adapter: it has no {WEIGHTS}")
    parse_config([*_hands_of(options), *against.words_of(options.ours), "--output_dir", "unused"])


def measure(options: argparse.Namespace) -> Figures:
    """Play, and say how fast. Raises `UserError` as the model's loading does."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(options.adapter or options.model)
        if options.shape is not None:
            in_child(save_shape, options.shape, Path(folder))
            model = folder
        if options.against is not None:
            return compare(options, model)
        sitting = Sitting(model, options.hands, options.plain_hands, options.seed, options.shape is not None)
        sides = {answers: in_child(play_ours, sitting, answers) for answers in get_args(Answers)}
        plain = in_child(play_plain, sitting)
    return figures(sides, plain)


def compare(options: argparse.Namespace, model: str) -> Figures:
    """The hands of an epoch here and at another commit, which no rows to speak of are trained on."""
    if options.adapter:  # an older commit may ask for its model, too
        named = ["--adapter", model, "--model_name_or_path", PokerConfig.load(options.adapter).base_model]
    else:
        named = ["--model_name_or_path", model]
    found: Figures = {}
    for name, how in (("free", []), ("menu", ["--variance_reduction", "baseline", "all_action"])):
        sides = against.compare(options, [*_hands_of(options), *named, *how])
        for unit, count in (("decisions", "decisions"), ("hands", "hands played")):
            speeds = {side: run.mean(count) / run.mean("hands") for side, run in sides.items()}
            found[f"{unit}, {name}"] = Figure(f"{unit}/s", speeds)
        found[f"memory, {name}"] = Figure(
            "MB at most", {side: run.peaks["after the hands"] for side, run in sides.items()}
        )
    return found


def _hands_of(options: argparse.Namespace) -> list[str]:
    """The options of `recipes/train.py` for those hands, but for the model."""
    few_rows = ["--rows_per_epoch", "8", "--per_device_train_batch_size", "8"]
    hands = ["--episodes_per_epoch", str(options.hands), "--seed", str(options.seed)]
    return ["--game", "holdem", "--villain", "cfr", *hands, *few_rows]


def figures(ours: dict[str, Played], plain: Played) -> Figures:
    """What the sides' hands say."""
    found: Figures = {}
    for name, side in ours.items():
        for unit in ("decisions", "hands"):
            speeds = {who: getattr(own, unit) / own.seconds for who, own in (("ours", side), (PLAIN, plain))}
            found[f"{unit}, {name}"] = Figure(f"{unit}/s", speeds)
        found[f"tokens, {name}"] = Figure(
            "tokens given/s", {"ours": side.given / side.seconds, PLAIN: plain.given / plain.seconds}
        )
        found[f"time, {name}"] = Figure("s", {"ours": side.seconds, "bare forward": side.bare_seconds})
        found[f"counted, {name}"] = Figure(
            "tokens",
            {
                "given": float(side.given),
                "of distinct prompts": float(side.distinct),
                "forwarded": float(side.forwarded),
                "needed": float(side.needed),
            },
        )
    everybody = {**ours, PLAIN: plain}
    found["memory"] = Figure("MB at most", {name: side.peak_mb for name, side in everybody.items()})
    found["hands"] = Figure("hands", {name: float(side.hands) for name, side in everybody.items()})
    found["decisions"] = Figure("decisions", {name: float(side.decisions) for name, side in everybody.items()})
    legal = {name: 100 * side.legal / max(1, side.decisions) for name, side in everybody.items()}
    found["legal"] = Figure("% of decisions", legal)
    return found


def play_ours(sitting: Sitting, answers: Answers) -> Played:
    """A lockstep of all hands, and a bare pass over the tokens that it needed."""
    first = _load(sitting)
    game, model = first.config.game, first.model
    villain, deals = make_player("cfr", game), make_deals(game, sitting.hands, sitting.seed)
    first.answers = answers
    play(game, make_deals(game, 2, sitting.seed, start=ELSEWHERE), first, villain)  # for what is done once
    hero = LLMPlayer(model, first.tokenizer, first.config, answers=answers, advise=first.advise)
    player, counter = Asked(hero, sitting.calls), TokenCounter(model)
    started = clock()
    hands = play(game, deals, player, villain)
    seconds, peak = clock() - started, peak_mb()
    found = _played(hands, player, seconds, peak, counter.tokens)
    given = [decision.answer for hand in hands for decision in hand.hero_decisions]
    prompts = {answer.prompt_ids for answer in given}
    needed = tokens_needed(text for answer in given for text in _texts(answer, hero))
    bare = bare_seconds(model, needed, sum(map(len, prompts)) // max(1, len(prompts)))
    return replace(found, distinct=sum(map(len, prompts)), needed=needed, bare_seconds=bare)


def play_plain(sitting: Sitting) -> Played:
    """The plain loop's first hands of the same deals."""
    ours = _load(sitting)
    game, hero = ours.config.game, PlainHero(ours.model, ours.tokenizer, ours.config.fractions)
    villain, deals = make_player("cfr", game), make_deals(game, sitting.plain_hands, sitting.seed)
    play_plainly(game, make_deals(game, 1, sitting.seed, start=ELSEWHERE), hero, villain)
    player, counter = Asked(hero, sitting.calls), TokenCounter(ours.model)
    started = clock()
    hands = play_plainly(game, deals, player, villain)
    return _played(hands, player, clock() - started, peak_mb(), counter.tokens)


class Asked:
    """A player, and how many of its answers named an action; where it `calls`, the others count as calls."""

    def __init__(self, player: Player, calls: bool) -> None:
        self._player, self._calls = player, calls
        self.name = player.name
        self.named = 0

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        answers = self._player.act(observations)
        self.named += sum(answer.action is not None for answer in answers)
        if not self._calls:
            return answers
        return [answer if answer.action is not None else replace(answer, action=CALL) for answer in answers]


class TokenCounter:
    """Counts the tokens that a model is given."""

    def __init__(self, model: Any) -> None:
        self.tokens = 0
        model.get_input_embeddings().register_forward_pre_hook(self._count)

    def _count(self, module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self.tokens += given[0].numel()


def _load(sitting: Sitting) -> LLMPlayer:
    if (Path(sitting.model) / WEIGHTS).is_file():
        player = make_llm_player(sitting.model, PokerConfig.load(Path(sitting.model)).game)
        if not isinstance(player, LLMPlayer):
            raise UserError(f"{sitting.model} thinks first, and isn't what is measured here: name another one")
        return player
    config = PokerConfig(game=make_game("holdem"), base_model=sitting.model)
    return LLMPlayer(load_model(sitting.model), load_tokenizer(sitting.model), config)


def _texts(answer: Answer, hero: LLMPlayer) -> list[tuple[int, ...]]:
    """What the model has to be given for an answer: all but the last of its tokens, or its menu's tokens."""
    sampled = [] if hero.answers == "menu" else [(*answer.prompt_ids, *answer.completion_ids[:-1])]
    scored = [(*answer.prompt_ids, *ids) for place in range(len(answer.menu)) for ids in hero.spellings(f"A{place}")]
    return [answer.prompt_ids, *sampled, *scored]


def _played(hands: Sequence[Hand], player: Asked, seconds: float, peak: float, forwarded: int) -> Played:
    given = [decision.answer for hand in hands for decision in hand.hero_decisions]
    return Played(
        hands=len(hands),
        decisions=len(given),
        legal=player.named,
        seconds=seconds,
        peak_mb=peak,
        given=sum(len(answer.prompt_ids) + len(answer.completion_ids) for answer in given),
        forwarded=forwarded,
    )
