"""How long an epoch takes, and of what: hands, credit, update; against a plain loop, the least there is, or a commit.

`python recipes/bench.py epoch`. Ours is `recipes/train.py` in a process of its own, watched by `probe`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import set_seed

from poker_env.errors import UserError
from poker_env.games import make_deals
from poker_env.player_specs import make_player
from recipes.options.config import ExploitConfig, parse_config
from recipes.options.given import CONFIGS, find_config
from recipes.runs.checkpoints import load_adapter
from recipes.studies.speed import against
from recipes.studies.speed.against import Epochs
from recipes.studies.speed.children import in_child
from recipes.studies.speed.figures import Figure, Figures
from recipes.studies.speed.least_work import bare_seconds
from recipes.studies.speed.plain_loop import PlainHero, play_plainly, update_plainly
from recipes.studies.speed.probe import clock, peak_mb
from recipes.studies.speed.rollout import ELSEWHERE, PLAIN

QUICKSTART = str(CONFIGS / "quickstart.yaml")

SIXTY_FOUR_HANDS = ("--episodes_per_epoch", "64", "--rows_per_epoch", "192")


@dataclass(frozen=True)
class PlainEpoch:
    """What the plain loop's hands and its update took."""

    decisions: int
    hands_seconds: float
    update_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Bare:
    """Seconds of bare passes over the tokens that an epoch's hands and its update needed."""

    hands: float
    update: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `python recipes/bench.py epoch` takes, beside all that `recipes/train.py` does."""
    parser.add_argument(
        "--config", help="a YAML file, or the name of one of ours; default: quickstart's with 64 hands"
    )
    parser.add_argument("--adapter", type=Path, help="an adapter's folder to start from; without: an untrained one")
    parser.add_argument("--plain-hands", type=int, default=6, help="hands for the plain loop, which is slow")
    against.add_options(parser)


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    if options.plain_hands < 2:
        raise UserError(f"--plain-hands {options.plain_hands}: a baseline needs at least two")
    against.check(options)
    against.refuse_given(options.rest)
    parse_config([*train_options(options), *against.words_of(options.ours), "--output_dir", "unused"])


def train_options(options: argparse.Namespace, config: str | None = None) -> list[str]:
    """The options of `recipes/train.py` for an epoch, but for how many and where to."""
    config = config or options.config
    chosen = [QUICKSTART, *SIXTY_FOUR_HANDS] if config is None else [str(Path(find_config(config)).resolve())]
    adapter = options.adapter
    start = ["--warm_start_player", ""] if adapter is None else ["--adapter", str(adapter.resolve())]
    return ["--config", *chosen, *options.rest, *start]


def measure(options: argparse.Namespace) -> Figures:
    """Run the epochs, and say how long they took. Raises `UserError` as training does."""
    given = train_options(options)
    if options.against is not None:
        return comparison(against.compare(options, given))
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            against.measure([*given, "--num_epochs", str(options.epochs)], Path(folder))
            for _ in range(options.repeats)
        ]
    ours = against.fastest(runs)
    argv = [*given, "--output_dir", "unused"]
    plain = in_child(play_plain_epoch, argv, options.plain_hands)
    bare = in_child(pass_bare, argv, {name: ours.mean(name) for epoch in ours.epochs for name in epoch})
    return figures(ours, plain, bare)


def figures(ours: Epochs, plain: PlainEpoch, bare: Bare) -> Figures:
    """What the sides' epochs say."""
    plain_seconds = plain.hands_seconds + plain.update_seconds
    decisions = ours.mean("decisions")
    forward = "bare forward", "bare forward and backward"
    return {
        "epoch": Figure("s", _parts(ours)),
        "decisions, hands to update": Figure(
            "decisions/s", {"ours": decisions / ours.whole, PLAIN: plain.decisions / plain_seconds}
        ),
        "decisions, hands": Figure(
            "decisions/s", {"ours": decisions / ours.mean("hands"), PLAIN: plain.decisions / plain.hands_seconds}
        ),
        "decisions, update": Figure(
            "decisions/s", {"ours": decisions / ours.update, PLAIN: plain.decisions / plain.update_seconds}
        ),
        "time of hands": Figure("s", {"ours": ours.mean("hands"), forward[0]: bare.hands}),
        "time of the update": Figure("s", {"ours": ours.update, forward[1]: bare.update}),
        "time of an epoch": Figure("s", {"ours": ours.whole, "bare passes": bare.hands + bare.update}),
        "counted": Figure("", _counts(ours)),
        "tokens": Figure("tokens", _tokens(ours)),
        "memory": Figure("MB at most", {**ours.peaks, PLAIN: plain.peak_mb}),
    }


def comparison(sides: Mapping[str, Epochs]) -> Figures:
    """Epochs here and at another commit."""
    rows: dict[str, tuple[str, dict[str, float]]] = {
        "epoch": ("s", {side: run.whole for side, run in sides.items()}),
        "whole run": ("s of processor time", {side: run.processor_seconds for side, run in sides.items()}),
    }
    for unit, values in (("s", _parts), ("", _counts), ("tokens", _tokens)):
        by_side = {side: values(run) for side, run in sides.items()}
        for name in next(iter(by_side.values())):
            rows[name] = unit, {side: found[name] for side, found in by_side.items()}
    for name in next(iter(sides.values())).peaks:
        rows[f"memory, {name}"] = "MB at most", {side: run.peaks[name] for side, run in sides.items()}
    return {name: Figure(unit, values) for name, (unit, values) in rows.items()}


def _parts(run: Epochs) -> dict[str, float]:
    return {
        "hands": run.mean("hands"),
        "credit": run.credit,
        "update": run.update,
        "of it backward": run.mean("backward"),
    }


def _counts(run: Epochs) -> dict[str, float]:
    return {"hands played": run.mean("hands played"), "decisions": run.mean("decisions"), "rows": run.mean("rows")}


def _tokens(run: Epochs) -> dict[str, float]:
    names = ("tokens given", "tokens sampled with", "tokens needed by hands", "tokens trained on")
    return {name: run.mean(name) for name in (*names, "tokens needed by updates")}


def play_plain_epoch(argv: Sequence[str], hands: int) -> PlainEpoch:
    """The plain loop's hands, and its step on them."""
    config = parse_config(argv)
    model, tokenizer, game = _model(config), config.load_tokenizer(), config.make_game()
    villain, hero = make_player(config.villain, game), PlainHero(model, tokenizer, tuple(config.menu_fractions))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-5)
    once = play_plainly(game, make_deals(game, 1, config.seed, start=ELSEWHERE), hero, villain)
    update_plainly(model, optimizer, once, config.bf16)
    started = clock()
    played = play_plainly(game, make_deals(game, hands, config.seed), hero, villain)
    between = clock()
    decisions = update_plainly(model, optimizer, played, config.bf16)
    return PlainEpoch(decisions, between - started, clock() - between, peak_mb())


def pass_bare(argv: Sequence[str], counts: Mapping[str, float]) -> Bare:
    """Bare passes over as many tokens as an epoch's hands and its update needed, in texts about as long."""
    config = parse_config(argv)
    model = _model(config)
    for_hands, for_updates = round(counts["tokens needed by hands"]), round(counts["tokens needed by updates"])
    forward = bare_seconds(model, for_hands, round(counts["length of a text played"]))
    length = round(counts["length of a text trained on"])
    return Bare(forward, bare_seconds(model, for_updates, length, backward=True, autocast=config.bf16))


def _model(config: ExploitConfig) -> Any:
    """The model with the adapter it starts with."""
    set_seed(config.seed)
    model = config.load_model()
    if config.adapter is not None:
        return load_adapter(model, Path(config.adapter), config.poker())
    return get_peft_model(model, config.lora(model))
