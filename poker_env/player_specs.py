"""Players, by one string everywhere: `random`, `call`, `fold`, `tag`, `lag`, `cfr`, `cfr:PATH_OR_NAME`, `llm:PATH`.

A hold'em cfr player's spec may end in `+river`: it then solves the river again at the table. `mix:cfr=0.8,lag=0.2`
plays each hand as one of several players does. `advice:cfr` takes the action that is worth most by the advice about
that player which a language model may be given in its prompts, see `_advice_follower`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.menu import POT_FRACTIONS
from poker_env.players.base import Player
from poker_env.players.simple import SIMPLE, SimplePlayer

if TYPE_CHECKING:  # those who ask for no advice need none of what it takes
    from poker_env.knowledge.advisor import Advisor
    from poker_env.players.llm import Advise, LLMPlayer
    from poker_env.players.poker_config import PokerConfig

PLAYER_SPECS = (
    *(*SIMPLE, "cfr", "cfr:PATH_OR_NAME", "cfr+river", "cfr:PATH_OR_NAME+river"),
    *("mix:PLAYER=WEIGHT,PLAYER=WEIGHT,…", "llm:PATH_OR_HUB_ID", "advice:PLAYER[~SOFTNESS][@SIZE/SIZE/…]"),
)
RIVER_SUFFIX = "+river"
SERVICES = ("slumbot", "gtowizard")
"""Opponents on the network, who deal their own hands: `poker_env.services`."""


def make_player(spec: str, game: Game) -> Player:
    """The player of a spec. Raises `UserError` when there is none, or its checkpoint or adapter is of no use here."""
    spec = expand_home(spec)
    kind, _, argument = spec.partition(":")
    if kind in SIMPLE and not argument:
        return SimplePlayer(kind, SIMPLE[kind])
    if kind == "mix":
        from poker_env.players.mixture import MixturePlayer, parse_mixture

        weights = parse_mixture(spec)
        return MixturePlayer(spec, [make_player(part, game) for part in weights], list(weights.values()))
    cfr, _, checkpoint = spec.removesuffix(RIVER_SUFFIX).partition(":")
    if cfr == "cfr":
        from poker_env.players.cfr import load_cfr_player

        return load_cfr_player(game, checkpoint or None, resolve_river=spec.endswith(RIVER_SUFFIX))
    if kind == "advice" and argument:
        return _advice_follower(argument, game)
    if kind == "llm" and argument:
        return make_llm_player(argument, game)
    if kind in SERVICES:
        raise UserError(
            f"player {kind!r} deals its own hands and sits at no other table: "
            f"python recipes/evaluate.py --hero PLAYER --villain {kind}"
        )
    if kind == "human":
        raise UserError("player 'human' plays at recipes/play.py alone: python recipes/play.py --against PLAYER")
    raise UserError(f"unknown player {spec!r}: choose one of {', '.join(PLAYER_SPECS)}")


_NUMBER = r"\d*\.?\d+"


def _advice_follower(argument: str, game: Game) -> Player:
    """Plays `PLAYER`, `PLAYER~0.03` or `PLAYER@0.5/1`: what the advice about that player says is best, and no more.

    After a tilde stands by what share of the pot an action has to be better than another to be taken e times as often,
    after an at sign which fractions of the pot it may bet.
    """
    from poker_env.knowledge.advisor import AdviceFollower

    found = re.fullmatch(rf"(.+?)(?:~({_NUMBER}))?(?:@({_NUMBER}(?:/{_NUMBER})*))?", argument)
    assert found is not None
    villain, softness, sizes = found.groups()
    fractions = tuple(map(float, sizes.split("/"))) if sizes else POT_FRACTIONS
    if not all(fractions):
        raise UserError(f"player 'advice:{argument}': sizes {sizes} must be above 0")
    return AdviceFollower(load_advisor(villain, game), fractions, float(softness or 0), f"advice:{argument}")


def game_of(specs: Sequence[str]) -> str:
    """The game that is played where none is named: that of the first trained adapter among the players, else hold'em.

    Raises `UserError` where its `poker_config.json` can't be read.
    """
    from poker_env.players.hub import trained_folder
    from poker_env.players.poker_config import FILE_NAME, PokerConfig

    models = (spec.removeprefix("llm:") for spec in map(expand_home, specs) if spec.startswith("llm:"))
    adapters = (folder for folder in map(trained_folder, models) if (folder / FILE_NAME).exists())
    return next((str(PokerConfig.load(folder).game) for folder in adapters), "holdem")


def make_llm_player(path: str, game: Game) -> LLMPlayer:
    """The player of an adapter or a model, by path or Hub id, with the advice that its prompts have.

    Raises `UserError` as `make_player` does.
    """
    from poker_env.players.llm import load_llm_player

    player = load_llm_player(path, game)
    player.advise = advice_for(player.config)
    return player


def advice_for(config: PokerConfig) -> Advise | None:
    """What gives the advice that a language model's prompts have; None where they have none."""
    return load_advisor(config.advisor, config.game).advise if config.advisor is not None else None


@functools.lru_cache(maxsize=4)
def load_advisor(villain: str, game: Game) -> Advisor:
    """The advisor about the player of a spec, kept for the process.

    Raises `UserError` when there is no such player, or its policy isn't known for every holding. In hold'em a
    blueprint's buckets come from tables, which take two minutes and 406 MB of disk to make once.
    """
    from poker_env.knowledge.advisor import Advisor

    return Advisor.about(make_player(villain, game), game)


def expand_home(text: str) -> str:
    """A path, or a player's spec with some in it, with the home folder in the place of each `~`."""
    return re.sub(r"(^|:)~(?=/|$)", lambda found: f"{found[1]}{Path.home()}", text)
