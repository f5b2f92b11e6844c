"""Turn what a run leaves into what other tools take.

    python recipes/convert.py merge runs/quickstart/final merged

    python recipes/convert.py dataset runs/judged decisions

    python recipes/convert.py shrink runs/quickstart/final small

    python recipes/convert.py opponent checkpoint_1000.pt mine.pt

    python recipes/convert.py hands history.txt --output mine

`merge` adds the adapter to its base model's weights: the folder loads with transformers alone, and plays as
`llm:merged`. `dataset` writes hero's decisions of an evaluation as Parquet, for `datasets.load_dataset("decisions")`.
`shrink` writes the adapter in bfloat16 and without a tokenizer, a player as before. `opponent` makes the player
`cfr:mine.pt` of a checkpoint of github.com/jonrxu/pokerbot. `hands` makes records and a report of PHH files and
PokerStars' texts. All write the whole folder or file, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipes.cli import Parser, choose_command, run

DTYPES = ("auto", "bfloat16", "float16", "float32")


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the command line says; raises `UserError` for what a user got wrong."""
    commands = {
        "merge": merge_command,
        "dataset": dataset_command,
        "shrink": shrink_command,
        "opponent": opponent_command,
        "hands": hands_command,
    }
    choose_command(commands, argv, __doc__)


def merge_command(argv: Sequence[str]) -> None:
    """Merge an adapter, and say how far the answers moved by rounding."""
    parser = Parser(description="Add an adapter to its base model's weights.")
    parser.add_argument("adapter", help="its folder or Hub id")
    parser.add_argument("folder", type=Path, help="a new folder for the whole model")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="of the weights; auto: the base model's own")
    given = parser.parse_args(argv)
    from recipes.publishing.merge import HANDS_TO_COMPARE, merge  # torch: not for --help

    moved = merge(given.adapter, given.folder, given.dtype)
    print(
        f"{given.folder}: the whole model, player llm:{given.folder}. In {HANDS_TO_COMPARE} hands no action's "
        f"probability is further than {moved:.2g} from the adapter's."
    )


def dataset_command(argv: Sequence[str]) -> None:
    """Export an evaluation's decisions."""
    parser = Parser(description="Export hero's decisions of an evaluation as a dataset.")
    parser.add_argument("evaluation", type=Path, help="the output folder of evaluate.py, with its hands.jsonl")
    parser.add_argument("folder", type=Path, help="a new folder for the dataset")
    given = parser.parse_args(argv)
    from recipes.publishing.decisions import export_decisions  # datasets: not for --help

    count = export_decisions(given.evaluation, given.folder)
    print(f'{given.folder}: {count:,} decisions, datasets.load_dataset("{given.folder}", split="train")')


def shrink_command(argv: Sequence[str]) -> None:
    """Shrink an adapter, and say how far the answers moved by rounding."""
    parser = Parser(description="Write an adapter in bfloat16, without a tokenizer.")
    parser.add_argument("adapter", help="its folder or Hub id")
    parser.add_argument("folder", type=Path, help="a new folder for it")
    given = parser.parse_args(argv)
    from recipes.publishing.shrink import shrink  # torch: not for --help

    moved = shrink(given.adapter, given.folder)
    size = sum(path.stat().st_size for path in given.folder.iterdir())
    print(
        f"{given.folder}: {size / 1e6:.1f} MB, player llm:{given.folder}. Probabilities moved by {moved:.2g} at most."
    )


def opponent_command(argv: Sequence[str]) -> None:
    """Make a player of an earlier bot's checkpoint, and say how it decides."""
    parser = Parser(description="Make a player of a checkpoint of github.com/jonrxu/pokerbot.")
    parser.add_argument("checkpoint", type=Path, help="its file, opened without running anything in it")
    parser.add_argument("player", type=Path, help="a new file, NAME.pt")
    parser.add_argument(
        "--by_network", action="store_true", help="decide by the policy network even where there is a strategy memory"
    )
    given = parser.parse_args(argv)
    from poker_env.pokerbot.opponent_file import convert_opponent  # torch: not for --help

    made = convert_opponent(given.checkpoint, given.player, given.by_network)
    trained = "" if made.iteration is None else f", iteration {made.iteration:,}"
    decides = "by its policy network"
    if made.n_remembered is not None:
        decides = (
            f"by its strategy memory in the {made.n_remembered:,} situations there that hands here can come to, at "
            "random elsewhere; --by_network takes its policy network instead"
        )
    print(f"{given.player}: player cfr:{given.player} (layout {made.layout.name}{trained}) decides {decides}.")


def hands_command(argv: Sequence[str]) -> None:
    """Read hand histories, and say what was left out."""
    parser = Parser(description="Read histories of heads-up no-limit hold'em: PHH files and PokerStars' texts.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".phh, .phhs, .txt, or a folder of them")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="a new folder for all of it")
    parser.add_argument("--hero", metavar="NAME", help="whose decisions they are (default: who is dealt to)")
    given = parser.parse_args(argv)
    from recipes.publishing.hand_histories import convert_histories  # matplotlib: not for --help

    print(*convert_histories(given.files, given.output, given.hero), sep="\n")


if __name__ == "__main__":
    run(main)
