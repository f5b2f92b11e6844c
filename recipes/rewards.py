"""Look at reward functions before training on them.

    python recipes/rewards.py list

    python recipes/rewards.py try bluff --hands 50

    python recipes/rewards.py try chips "{name: my_rewards:patience, args: {bonus: 0.5}}" --hero tag --villain cfr

    python recipes/rewards.py try --config recipes/configs/aggressive.yaml --hands 500

    python recipes/rewards.py bends bluff aggression

`list` shows every reward function found: the built-in ones and those of installed packages. `try` plays hands and
shows what each decision would get. `bends` works out, in Kuhn poker, how many chips the best play under a reward gives
away. docs/rewards.md explains them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.player_specs import PLAYER_SPECS, make_player
from poker_env.table import play
from recipes.cli import Parser, choose_command, run
from recipes.studies.bent_play import KUHN, bending_table
from recipes.studies.reward_trial import actions_table, decisions_table, functions_table, score_hands
from reward_fns import RewardSpec, import_function, load_reward, read_reward, reward_offers

REWARDS_HELP = "reward functions: NAME, NAME=WEIGHT, package.module:function, or as in YAML '{name: …, args: {…}}'"


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the command line says; raises `UserError` for what a user got wrong."""
    commands = {"list": list_rewards, "try": try_rewards, "bends": show_bending}
    choose_command(commands, argv, __doc__)


def list_rewards(argv: Sequence[str]) -> None:
    """Print every reward function found: name, source, arguments, what it says of itself."""
    Parser(description="List the reward functions.").parse_args(argv)
    table = Table(caption="Any other function goes by package.module:function; see docs/rewards.md.")
    for column in ("name", "source", "arguments", ""):
        table.add_column(column, overflow="fold")
    for offer in reward_offers():
        try:
            function = import_function(offer.path)
            parameters = list(inspect.signature(function).parameters.values())[1:]
        except (UserError, ValueError) as error:
            arguments, doc = "", f"[red]{escape(str(error))}[/]"
        else:
            arguments = ", ".join(str(parameter.replace(annotation=parameter.empty)) for parameter in parameters)
            doc = escape((inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " "))
        table.add_row(escape(offer.name), escape(offer.source), escape(arguments), doc, end_section=True)
    Console().print(table)


def try_rewards(argv: Sequence[str]) -> None:
    """Play hands and print what rewards give for them."""
    parser = Parser(description="Play hands and show what rewards give for them.")
    parser.add_argument("rewards", nargs="*", metavar="NAME", help=REWARDS_HELP)
    parser.add_argument("--config", help="take rewards, gamma, game and villain from a training config")
    parser.add_argument("--hands", type=int, default=50)
    parser.add_argument("--show", type=int, default=5, help="hands to show decision by decision")
    parser.add_argument("--game", default="holdem", help="kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]")
    parser.add_argument("--hero", default="lag", help=f"plays the hands: {', '.join(PLAYER_SPECS)}")
    parser.add_argument("--villain", default="cfr", help="its opponent, named the same way")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount per decision")
    parser.add_argument("--seed", type=int, default=0, help="names the decks")
    given = parser.parse_args(argv)
    rewards = given.rewards
    if given.config:
        from recipes.options.config import parse_config  # imports torch

        config = parse_config(["--config", given.config])
        parser.set_defaults(game=config.game, villain=config.villain, gamma=config.gamma)
        given, rewards = parser.parse_args(argv), [*config.rewards, *rewards]
    if not rewards:
        raise UserError("try needs the NAME of a reward function, or a --config; list shows the names")
    if given.hands < 1:
        raise UserError(f"can't try rewards on {given.hands} hands: play at least 1")
    if given.seed < 0:
        raise UserError(f"seed {given.seed} must be 0 or above")
    specs, game = _read(rewards, given.gamma), make_game(given.game)
    hero, villain = make_player(given.hero, game), make_player(given.villain, game)
    hands = play(game, make_deals(game, given.hands, given.seed), hero, villain)
    if not any(hand.hero_decisions for hand in hands):
        raise UserError(f"hero never had to act in these {given.hands} hands: play more")
    trial = score_hands(specs, hands, given.gamma)
    console = Console()
    console.print(f"{hero.name} against {villain.name}, {game}: {given.hands:,} hands, gamma {given.gamma:g}\n")
    for table in (*([decisions_table(trial, given.show)] if given.show > 0 else []), actions_table(trial)):
        console.print(table)
    console.print(functions_table(trial))


def show_bending(argv: Sequence[str]) -> None:
    """Print what the best play under rewards gives away in Kuhn poker."""
    parser = Parser(description="Work out how many chips the best play under a reward gives away, in Kuhn poker.")
    parser.add_argument("rewards", nargs="+", metavar="NAME", help=f"{REWARDS_HELP}; each is added to chips")
    parser.add_argument("--villain", default="cfr:weak", help="a player whose policy is known")
    parser.add_argument("--gamma", type=float, default=1.0, help="discount per decision")
    given = parser.parse_args(argv)
    extra = _read(given.rewards, given.gamma)
    Console().print(bending_table(make_player(given.villain, KUHN), load_reward("chips"), extra, given.gamma))


def _read(rewards: Sequence[str | dict[str, Any]], gamma: float) -> list[RewardSpec]:
    if not 0 <= gamma <= 1:
        raise UserError(f"gamma {gamma} must be between 0 and 1")
    return [read_reward(_from_yaml(reward) if isinstance(reward, str) else reward, gamma) for reward in rewards]


def _from_yaml(reward: str) -> str | dict[str, Any]:
    if not reward.startswith("{"):
        return reward
    try:
        return yaml.safe_load(reward)
    except yaml.YAMLError as error:
        raise UserError(f"reward {reward!r} is not YAML: {' '.join(str(error).split())}") from error


if __name__ == "__main__":
    run(main)
