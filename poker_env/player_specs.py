"""Players, by one string everywhere: `random`, `call`, `fold`, `tag`, `lag`, `cfr`, `cfr:PATH_OR_NAME`, `llm:PATH`.

A hold'em cfr player's spec may end in `+river`: it then solves the river again at the table. `mix:cfr=0.8,lag=0.2`
plays each hand as one of several players does, `pool:RUN` as one of the adapters that a run saved after its epochs.
`advice:cfr` takes the action that is worth most by the advice about that player which a language model may be given in
its prompts, `lookahead:cfr` what is best if both then go on as that player does, see `_follower`.

Any other name is one that an installed package gave a player of its own, or `package.module:NAME`, of modules in the
current directory, too; what stands behind a further colon is theirs to read. `poker_env.players.checked` says what it
has to have.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.menu import POT_FRACTIONS
from poker_env.players.base import Player
from poker_env.players.simple import SIMPLE, SimplePlayer
from poker_env.plugins import Offer, import_callable, is_module, offers

if TYPE_CHECKING:  # those who ask for no advice need none of what it takes
    from poker_env.knowledge.advisor import Advisor
    from poker_env.players.asking import Advise
    from poker_env.players.llm import ModelPlayer
    from poker_env.players.poker_config import PokerConfig

PLAYER_SPECS = (
    *(*SIMPLE, "cfr", "cfr:PATH_OR_NAME", "cfr+river", "cfr:PATH_OR_NAME+river"),
    *("mix:PLAYER=WEIGHT,PLAYER=WEIGHT,…", "llm:PATH_OR_HUB_ID", "pool:RUN"),
    *("advice:PLAYER[~SOFTNESS][@SIZE/SIZE/…]", "lookahead:PLAYER[~SOFTNESS][@SIZE/SIZE/…]"),
    "package.module:PLAYER",
)
ENTRY_POINT_GROUP = "poker_players"
RIVER_SUFFIX = "+river"
SERVICES = ("slumbot", "gtowizard")
"""Opponents on the network, who deal their own hands: `poker_env.services`."""


def make_player(spec: str, game: Game) -> Player:
    """The player of a spec. Raises `UserError` when there is none, or its checkpoint or adapter is of no use here."""
    spec = expand_home(spec)
    kind, colon, argument = spec.partition(":")
    if kind in BUILT_IN and takes(BUILT_IN[kind], argument):
        return BUILT_IN[kind](game, *_behind_colon(argument))
    if kind in SERVICES:
        raise UserError(
            f"player {kind!r} deals its own hands and sits at no other table: "
            f"python recipes/evaluate.py --hero PLAYER --villain {kind}"
        )
    if kind == "human":
        raise UserError("player 'human' plays at recipes/play.py alone: python recipes/play.py --against PLAYER")
    if kind not in BUILT_IN:
        paths = {offer.name: offer.path for offer in player_offers()}
        if kind in paths:
            return _plugin(spec, paths[kind], game, argument)
        if colon and argument and is_module(kind):
            name, _, own = argument.partition(":")
            return _plugin(spec, f"{kind}:{name}", game, own)
    named = (*PLAYER_SPECS, *(offer.name for offer in player_offers()))
    raise UserError(f"unknown player {spec!r}: choose one of {', '.join(named)}")


def player_offers() -> list[Offer]:
    """The players of installed packages, see `poker_env.plugins.offers`."""
    return offers(ENTRY_POINT_GROUP, BUILT_IN)


def takes(maker: Callable[..., Any], argument: str) -> bool:
    """Whether a player is made of the game and what stands behind the colon, which may be nothing."""
    try:
        inspect.signature(maker).bind(None, *_behind_colon(argument))
    except TypeError:
        return False
    return True


def spec_form(name: str, maker: Callable[..., Any]) -> str:
    """How a player's spec is written, as `tag`, `llm:PATH` or `cfr[:CHECKPOINT]`."""
    try:
        own = list(inspect.signature(maker).parameters.values())[1:2]
    except (TypeError, ValueError):  # nobody knows what it takes
        return name
    if not own:
        return name
    argument = f":{own[0].name.upper()}"
    return f"{name}{argument}" if own[0].default is inspect.Parameter.empty else f"{name}[{argument}]"


def about(maker: Callable[..., Any]) -> str:
    """What a maker says of its player: its documentation's first paragraph, and its `latency`, where it has one."""
    text = (inspect.getdoc(maker) or "").partition("\n\n")[0].replace("\n", " ")
    return f"{text} ({latency})" if (latency := getattr(maker, "latency", "")) else text


def _behind_colon(argument: str) -> tuple[str, ...]:
    return (argument,) if argument else ()


def _plugin(spec: str, path: str, game: Game, argument: str) -> Player:
    from poker_env.players.checked import make_checked

    maker = import_callable(path, "player")
    if not takes(maker, argument):
        what = f"takes no {argument!r}" if argument else "needs something behind a colon"
        raise UserError(f"player {spec!r}: {path} {what}; a player is made by a call with the game and that text")
    return make_checked(spec, maker, game, *_behind_colon(argument))


def _cfr(game: Game, checkpoint: str = "") -> Player:
    """A solved strategy: the shipped one, a shipped one's name, or a file of recipes/solve.py; may end in +river."""
    from poker_env.players.cfr import load_cfr_player

    path = checkpoint.removesuffix(RIVER_SUFFIX)
    return load_cfr_player(game, path or None, resolve_river=checkpoint.endswith(RIVER_SUFFIX))


def _cfr_river(game: Game) -> Player:
    """The shipped strategy, which solves the river again at the table."""
    return _cfr(game, RIVER_SUFFIX)


def _mixture(game: Game, weights: str = "") -> Player:
    """Each hand is played by one of several players: PLAYER=WEIGHT,PLAYER=WEIGHT,…"""
    from poker_env.players.mixture import MixturePlayer, parse_mixture

    parts = parse_mixture(spec := f"mix:{weights}")
    return MixturePlayer(spec, [make_player(part, game) for part in parts], list(parts.values()))


def _pool(game: Game, run: str) -> Player:
    """Each hand is played by one of the adapters that a training run saved after its epochs."""
    from poker_env.players.hub import epochs_of
    from poker_env.players.mixture import MixturePlayer

    epochs = epochs_of(run)
    return MixturePlayer(f"pool:{run}", [make_llm_player(str(epoch), game) for epoch in epochs], [1.0] * len(epochs))


_NUMBER = r"\d*\.?\d+"


def _follower(kind: str, game: Game, argument: str) -> Player:
    """The player that goes by what an advisor, or a lookahead, says of `PLAYER`, `PLAYER~0.03` or `PLAYER@0.5/1`.

    After a tilde stands by what share of the pot an action has to be better than another to be taken e times as often
    (0: the best alone), after an at sign which fractions of the pot it may bet.
    """
    from poker_env.knowledge.advisor import Follower, KnowsValues

    found = re.fullmatch(rf"(.+?)(?:~({_NUMBER}))?(?:@({_NUMBER}(?:/{_NUMBER})*))?", argument)
    assert found is not None
    villain, softness, sizes = found.groups()
    fractions = tuple(map(float, sizes.split("/"))) if sizes else POT_FRACTIONS
    if not all(fractions):
        raise UserError(f"player '{kind}:{argument}': sizes {sizes} must be above 0")
    source: KnowsValues
    if kind == "lookahead":
        from poker_env.knowledge.lookahead import Lookahead

        source = Lookahead.about(make_player(villain, game), game)
    else:
        source = load_advisor(villain, game)
    return Follower(source, fractions, float(softness or 0), f"{kind}:{argument}")


def _advice_follower(game: Game, villain: str) -> Player:
    """Takes the action that the advice about a player says is best: PLAYER, PLAYER~0.03 or PLAYER@0.5/1."""
    return _follower("advice", game, villain)


def _lookahead_follower(game: Game, villain: str) -> Player:
    """Takes what is best if both then go on as that solved strategy does: PLAYER, PLAYER~0.03 or PLAYER@0.5/1."""
    return _follower("lookahead", game, villain)


def game_of(specs: Sequence[str]) -> str:
    """The game that is played where none is named: that of the first trained adapter among the players, else hold'em.

    Raises `UserError` where its `poker_config.json` can't be read.
    """
    from poker_env.players.hub import epochs_of, trained_folder
    from poker_env.players.poker_config import FILE_NAME, PokerConfig

    folders = {"llm": trained_folder, "pool": lambda run: epochs_of(run)[0]}
    parted = (expand_home(spec).partition(":") for spec in specs)
    models = (folders[kind](argument) for kind, _, argument in parted if kind in folders and argument)
    adapters = (folder for folder in models if (folder / FILE_NAME).exists())
    return next((str(PokerConfig.load(folder).game) for folder in adapters), "holdem")


def make_llm_player(path: str, game: Game) -> ModelPlayer:
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


def _model(game: Game, path: str) -> Player:
    """A language model: an adapter's folder or Hub id, a shipped one's name, or an untrained model."""
    return make_llm_player(path, game)


def _bot(name: str) -> Callable[[Game], Player]:
    def make(game: Game) -> Player:
        return SimplePlayer(name, SIMPLE[name])

    make.__doc__ = SIMPLE[name].__doc__
    return make


BUILT_IN: Mapping[str, Callable[..., Player]] = {
    **{name: _bot(name) for name in SIMPLE},
    "cfr": _cfr,
    f"cfr{RIVER_SUFFIX}": _cfr_river,
    "mix": _mixture,
    "pool": _pool,
    "advice": _advice_follower,
    "lookahead": _lookahead_follower,
    "llm": _model,
}
"""Makers of players by the name in front of the colon, called as those of other packages are: with the game and, where
there is any, with what stands behind the colon."""
