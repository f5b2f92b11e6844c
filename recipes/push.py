"""Publish a trained adapter on the Hugging Face Hub, with its evaluation and a model card.

    python recipes/push.py runs/quickstart/final ORG/NAME

    python recipes/push.py runs/quickstart/final ORG/NAME --evaluation runs/judged

    python recipes/push.py runs/quickstart/final ORG/NAME --output card

Pushes in one commit: the adapter, its tokenizer, poker_config.json, evaluations, charts, the learning curve, and
a card whose numbers are those of results.json. Evaluations are the one training ended with, or those given; each must
have judged this very adapter. The third line writes the files to a folder and pushes nothing. Afterwards
`llm:ORG/NAME` names the player. docs/hub.md says more.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id
from rich.console import Console
from safetensors import SafetensorError, safe_open

from poker_env.errors import UserError, first_line
from poker_env.evaluation.compare import ESTIMATORS, VALUES, StoredEvaluation
from poker_env.evaluation.habits import habits
from poker_env.files import write_atomically
from poker_env.hand import read_hands
from poker_env.players.config import ADAPTER_WEIGHTS, PokerConfig, adapter_sha256
from recipes.cli import Parser, run, whole_folder
from recipes.model_card import Publication, Record, model_card
from recipes.run_record import FILE as RUN_RECORD
from recipes.run_record import WARM_START, read_run_record

if TYPE_CHECKING:
    from recipes.config import ExploitConfig

ADAPTER_CONFIG, RESULTS, CURVE = "adapter_config.json", "results.json", "learning_curve.png"
CARD_NEEDS = (
    *("game", "hero", "villain", "seed", "hands", "headline", "estimates", "win_rate", "legal_rate", "checkpoints"),
    *("prompts", "command"),
)
"""Of an evaluation's `results.json`."""


@dataclass(frozen=True)
class Destination:
    """Where on the Hub to, and as whom."""

    repo: str
    """`org/name`; a bare name is in the token's own namespace."""
    private: bool | None = None
    token: str | None = None
    """None: the one that `hf auth login` saved, or HF_TOKEN."""
    revision: str | None = None
    """A branch, made where there is none."""

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise UserError(f"{self.repo!r} is no name of a repository on the Hub: {first_line(error)}") from error

    @staticmethod
    def of(config: ExploitConfig) -> Destination | None:
        """What the `hub_…` options of a training config say; None without `push_to_hub`.

        Raises `UserError`, before anything is trained, for what would make the push impossible in the end.
        """
        if not config.push_to_hub:
            return None
        if config.hub_strategy not in ("end", "every_save"):
            raise UserError(
                f"hub_strategy {config.hub_strategy.value!r}: only the final adapter is pushed, at the end"
            )
        if Path(config.model_name_or_path).exists():
            raise UserError(
                f"push_to_hub: the base model {config.model_name_or_path} is a folder, which nobody else has: name a "
                "Hub model, or push afterwards with recipes/push.py --base_model"
            )
        name = config.hub_model_id or Path(str(config.output_dir)).absolute().name
        destination = Destination(name, config.hub_private_repo, config.hub_token, config.hub_revision)
        destination.require_token()
        return destination

    def require_token(self) -> None:
        """Raises `UserError` when there is none."""
        if not (self.token or get_token()):
            raise UserError("there is no token for the Hub: run 'hf auth login', or set HF_TOKEN")

    @property
    def options(self) -> list[str]:
        """As `push.py` takes them; without the token."""
        private = [] if self.private is None else ["--private"] if self.private else ["--public"]
        return [*private, *(["--revision", self.revision] if self.revision else [])]


def main(argv: Sequence[str] | None = None) -> None:
    """Push what the command line names. Raises `UserError` for what a user got wrong, or when the Hub refuses."""
    parser = Parser(description=__doc__)
    parser.add_argument("adapter", type=Path, help="its folder, such as runs/quickstart/final")
    parser.add_argument("repo", help="ORG/NAME on the Hub; made where there is none")
    parser.add_argument(
        "--evaluation",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="outputs of evaluate.py for the card, the first to quote",
    )
    parser.add_argument(
        "--base_model", metavar="ORG/NAME", help="where the base model is, if it was trained on a folder"
    )
    parser.add_argument(
        "--license", metavar="ID", help="of the adapter, such as apache-2.0; default: the base model's"
    )
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument("--private", action="store_true", default=None, help="if it is new, only for you")
    visibility.add_argument(
        "--public", dest="private", action="store_false", default=None, help="if it is new, for all"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="a branch to push to")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the files to a new folder, push nothing")
    given = parser.parse_args(argv)
    destination = Destination(given.repo, given.private, revision=given.revision)
    licence = {"license": given.license} if given.license else None
    if given.output is not None:
        with whole_folder(given.output) as folder:
            publication = collect(folder, given.adapter, destination, given.evaluation, given.base_model)
            write_card(folder, replace(publication, licence=licence))
        print(f"{given.output} holds what would be pushed to {given.repo}: see its README.md")
        return
    command = shlex.join(["python", "recipes/push.py", *(sys.argv[1:] if argv is None else argv)])
    push(given.adapter, destination, command, given.evaluation, given.base_model, licence)


def push(
    adapter: Path,
    destination: Destination,
    retry: str | None = None,
    evaluations: Sequence[Path] | None = None,
    base_model: str | None = None,
    licence: dict[str, str] | None = None,
) -> None:
    """Push an adapter in one commit, and print where it is. `retry` is the command to do it again.

    Raises `UserError` when it can't be pushed: the Hub then has nothing of it, and all files are where they were.
    """
    retry = retry or shlex.join(["python", "recipes/push.py", str(adapter), destination.repo, *destination.options])
    api = HfApi(token=destination.token, library_name="exploitative-poker")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        publication = collect(folder, adapter, destination, evaluations, base_model)
        write_card(folder, publication)  # what is wrong with it is told before there is a repository
        _require_no_secret(folder, destination.token or get_token())
        try:
            destination.require_token()
            created = api.create_repo(destination.repo, private=destination.private, exist_ok=True)
            if destination.revision:
                api.create_branch(created.repo_id, branch=destination.revision, exist_ok=True)
            licence = licence or _base_licence(api, publication.base_model)
            write_card(folder, replace(publication, repo=created.repo_id, licence=licence))
            files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
            api.create_commit(
                created.repo_id,
                [
                    *(CommitOperationAdd(name, path) for name, path in files.items()),
                    *(CommitOperationDelete(name) for name in _of_earlier(api, created.repo_id, destination, files)),
                ],
                commit_message=f"Adapter {publication.sha256[:12]}",
                revision=destination.revision,
            )
        except Exception as error:  # the connection's and the Hub's own are of many types
            raise UserError(
                f"can't push to {destination.repo}: {_why(error, api.endpoint)}; nothing is lost, the adapter is in "
                f"{adapter}; to try again: {retry}"
            ) from error
    console = Console(soft_wrap=True)
    console.print(f"pushed: {created}   player: {replace(publication, repo=created.repo_id).player}")
    if not publication.evaluations:
        console.print(
            f"Its card has no numbers: judge it with 'python recipes/evaluate.py --hero llm:{adapter} --output DIR' "
            "and push again with --evaluation DIR."
        )


def collect(
    folder: Path,
    adapter: Path,
    destination: Destination,
    evaluations: Sequence[Path] | None = None,
    base_model: str | None = None,
) -> Publication:
    """Write all that is to be pushed but the card into a folder, and return what the card is about.

    Raises `UserError` when the adapter isn't one of this project's, its base model is a folder and `base_model` names
    no other, an evaluation judged another adapter, or a file can't be read.
    """
    sha256, poker = adapter_sha256(adapter), PokerConfig.load(adapter)
    _require_safetensors(adapter / ADAPTER_WEIGHTS)
    trained_on = poker.base_model
    if base_model is not None:
        poker = replace(poker, base_model=base_model)
    elif Path(_base_model(adapter)).is_absolute() or Path(_base_model(adapter)).exists():
        raise UserError(
            f"adapter {adapter} was trained on the folder {_base_model(adapter)}, which nobody else has: name its "
            "place on the Hub with --base_model ORG/NAME"
        )
    run = adapter.parent
    own, own_before, record = run / "evaluation", run / "evaluation_before", read_run_record(run)
    of_own = (own / RESULTS).exists() and _judged(own) == sha256
    chosen = list(evaluations or ([own] if of_own else []))
    for evaluation in chosen:
        if _judged(evaluation) != sha256:
            raise UserError(
                f"{evaluation} didn't judge adapter {adapter}: do that with 'python recipes/evaluate.py --hero "
                f"llm:{adapter} --output DIR'"
            )
    shows_before = [path.resolve() for path in chosen] == [own.resolve()] and (own_before / RESULTS).exists()
    try:
        for path in adapter.iterdir():
            if path.is_file() and path.name != "README.md" and not path.name.startswith("."):
                shutil.copyfile(path, folder / path.name)
        if base_model is not None:
            poker.save(folder)
            config = {**_adapter_config(folder), "base_model_name_or_path": base_model}
            write_atomically(folder / ADAPTER_CONFIG, json.dumps(config, indent=2) + "\n")
        names = ["evaluation", *(f"evaluation_{number}" for number in range(2, len(chosen) + 1))]
        for name, evaluation in zip(names, chosen, strict=False):
            _copy_results(evaluation, folder / name)
            _copy_charts(evaluation, folder / name)
        if shows_before:
            _copy_results(own_before, folder / own_before.name)
        for kept in (CURVE, RUN_RECORD):
            if (run / kept).exists():
                shutil.copyfile(run / kept, folder / kept)
    except OSError as error:
        raise UserError(f"can't copy {error.filename} of adapter {adapter}: {error.strerror}") from error
    return Publication(
        repo=destination.repo,
        revision=destination.revision,
        base_model=_base_model(folder),
        trained_on=trained_on,
        poker=poker,
        sha256=sha256,
        evaluations=[_record(evaluation) for evaluation in chosen],
        before=_record(own_before) if shows_before else None,
        run=record,
        epochs=_epochs(adapter, sha256),
        pictures=sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")),
    )


def write_card(folder: Path, publication: Publication) -> None:
    """Write the card. Raises `UserError` when what it is to quote is damaged, or the base model has no Hub id."""
    try:
        validate_repo_id(publication.base_model)
        card = str(model_card(publication))
    except HFValidationError as error:
        raise UserError(
            f"base model {publication.base_model!r} is no name on the Hub, give --base_model ORG/NAME: "
            f"{first_line(error)}"
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"can't quote the evaluations or {RUN_RECORD}, which are damaged ({type(error).__name__}: "
            f"{first_line(error)}): judge the adapter again with evaluate.py"
        ) from error
    write_atomically(folder / "README.md", card)


def _copy_results(source: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    shutil.copyfile(source / RESULTS, folder / RESULTS)


def _copy_charts(source: Path, folder: Path) -> None:
    """An evaluation's charts; they are drawn where there are none and the hands are kept."""
    pictures = [path for path in source.glob("*.png") if path.is_file()]
    for picture in pictures:
        shutil.copyfile(picture, folder / picture.name)
    if pictures or not (source / "hands.jsonl").exists() or not (source / VALUES).exists():
        return
    from poker_env.evaluation.charts import action_mix_chart, pot_size_chart, winnings_chart  # imports matplotlib

    hands, stored = tuple(read_hands(source / "hands.jsonl")), StoredEvaluation.load(source).values
    if not hands:
        return
    shown = {ESTIMATORS[column]: stored[column] for column in ("payoff", "aivat") if column in stored}
    game = hands[0].game
    write_atomically(folder / "winnings.png", winnings_chart(hands, shown))
    write_atomically(folder / "pot_sizes.png", pot_size_chart(hands))
    write_atomically(folder / "action_mix.png", action_mix_chart(habits(hands, game), game))


def _record(evaluation: Path) -> Record:
    path = evaluation / RESULTS
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        missing = set(CARD_NEEDS) - set(record)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        record["estimates"][record["headline"]]["mbb_per_hand"]
        return record
    except OSError as error:
        raise UserError(f"{evaluation} holds no evaluation: can't read {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} is not what evaluate.py writes of a match: {first_line(error)}") from error


def _judged(evaluation: Path) -> str | None:
    """The SHA-256 of the adapter that an evaluation judged; None where hero was none."""
    record = _record(evaluation)
    return record["checkpoints"].get(record["hero"])


def _epochs(adapter: Path, sha256: str) -> int | None:
    """After how many epochs of a run an adapter is; None where its folder doesn't tell."""
    kept = {int(path.name[6:]): path for path in adapter.parent.glob("epoch_*") if path.name[6:].isdecimal()}
    if adapter.name == WARM_START:
        return 0
    same = (epoch for epoch, path in sorted(kept.items()) if path.name == adapter.name or _same(path, sha256))
    return next(same, None)


def _same(adapter: Path, sha256: str) -> bool:
    return (adapter / ADAPTER_WEIGHTS).exists() and adapter_sha256(adapter) == sha256


def _require_safetensors(weights: Path) -> None:
    try:
        with safe_open(weights, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights} is damaged: {first_line(error)}") from error


def _require_no_secret(folder: Path, token: str | None) -> None:
    for path in folder.rglob("*"):
        if token and path.suffix in (".json", ".md", ".jinja", ".txt") and token in path.read_text(errors="ignore"):
            raise UserError(
                f"{path.relative_to(folder)} holds the token for the Hub, for all to see: take it out of the "
                "adapter's or its evaluation's files first"
            )


def _of_earlier(api: HfApi, repo: str, destination: Destination, files: Collection[str]) -> list[str]:
    """Evaluations and charts of an earlier push, which would be taken for this adapter's."""
    there = api.list_repo_files(repo, revision=destination.revision)
    return [
        name for name in there if name not in files and (name.startswith("evaluation") or name in (CURVE, RUN_RECORD))
    ]


def _base_model(adapter: Path) -> str:
    """What an adapter's config calls its base model."""
    return str(_adapter_config(adapter)["base_model_name_or_path"])


def _adapter_config(adapter: Path) -> dict[str, Any]:
    path = adapter / ADAPTER_CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config["base_model_name_or_path"]
        return config
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} doesn't name a base model: {first_line(error)}") from error


def _base_licence(api: HfApi, base_model: str) -> dict[str, str] | None:
    """What the base model's card says of its licence, None where that can't be had."""
    try:
        card: Any = api.model_info(base_model).card_data
    except HfHubHTTPError:
        return None
    found = {key: card.get(key) for key in ("license", "license_name", "license_link")} if card else {}
    told = {key: value for key, value in found.items() if isinstance(value, str) and value}  # some give a list
    return told if "license" in told else None


def _why(error: Exception, endpoint: str) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return f"{endpoint} doesn't take the token for it: is it one with write access? ({first_line(error)})"
    if isinstance(error, HfHubHTTPError):
        return " ".join((error.server_message or first_line(error)).split())
    if isinstance(error, HTTPError | OSError):
        return f"{endpoint} can't be reached ({type(error).__name__}: {first_line(error)})"
    if isinstance(error.__cause__, Exception):  # of an upload
        return f"{first_line(error)} {_why(error.__cause__, endpoint)}"
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    run(main)
