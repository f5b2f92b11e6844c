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

import shlex
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id
from rich.console import Console

from poker_env.errors import UserError, first_line
from poker_env.files import whole_folder
from poker_env.language_model.bundled import BUNDLED_IN_WORDS
from recipes.cli import Parser, run
from recipes.publishing.licences import check_licence
from recipes.publishing.publication import Publication
from recipes.publishing.repository import CURVE, collect, name_hub_weights, require_no_secret, write_card
from recipes.runs.record import RUN_FILE

if TYPE_CHECKING:
    from recipes.options.config import ExploitConfig

OURS = ("evaluation*", CURVE, RUN_FILE, "adapter_*", "config.json", "generation_config.json", "model*.safetensors*")
"""What an adapter or a whole model leaves in a repository, by which the next push would be taken for another."""


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


@dataclass(frozen=True)
class Contents:
    """What is pushed of an adapter."""

    evaluations: Sequence[Path] | None = None
    """Of the adapter; None: the one its run ended with."""
    base_model: str | None = None
    """Its place on the Hub, where it isn't the name it was trained by."""
    merged: bool = False
    """Whether it is pushed in its base model's weights, as a whole model."""
    hands_on_hub: int | None = None
    """To play on the Hub's weights of its base model."""

    def write(self, folder: Path, adapter: Path, repo: str, command: str) -> Publication:
        """Write all but the card into a folder. Raises `UserError` when it can't be had, see `collect`."""
        publication = collect(folder, adapter, repo, self.evaluations, self.base_model, self.merged)
        if self.hands_on_hub is None:
            return publication
        if self.hands_on_hub < 1:
            raise UserError(f"judge_on_hub {self.hands_on_hub} must be at least 1")
        if not publication.other_weights:
            raise UserError(
                f"judge_on_hub {self.hands_on_hub}: adapter {adapter} was trained on {publication.trained_on}, not on "
                "another copy of what is on the Hub: judge it with recipes/evaluate.py"
            )
        from recipes.publishing.hub_weights import judge_on_hub  # imports torch

        record = judge_on_hub(folder / "evaluation_on_hub", adapter, publication, self.hands_on_hub, command)
        return name_hub_weights(folder, publication, record)


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
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--merge", action="store_true", help="push the base model with the adapter in it, which loads without peft"
    )
    way.add_argument(
        "--judge_on_hub",
        type=int,
        metavar="HANDS",
        help="play so many hands on the Hub's weights of the base model, if it was trained on others, for the card",
    )
    given = parser.parse_args(argv)
    destination = Destination(given.repo, given.private, revision=given.revision)
    licence = {"license": check_licence(given.license)} if given.license is not None else None
    command = shlex.join(["python", "recipes/push.py", *(sys.argv[1:] if argv is None else argv)])
    contents = Contents(given.evaluation, given.base_model, given.merge, given.judge_on_hub)
    if given.output is not None:
        with whole_folder(given.output) as folder:
            publication = contents.write(folder, given.adapter, destination.repo, command)
            write_card(folder, replace(publication, revision=destination.revision, licence=licence))
        print(f"{given.output} holds what would be pushed to {given.repo}: see its README.md")
        _tell_other_weights(publication)
        return
    push(given.adapter, destination, command, contents, licence)


def push(
    adapter: Path,
    destination: Destination,
    retry: str | None = None,
    contents: Contents | None = None,
    licence: dict[str, str] | None = None,
) -> None:
    """Push an adapter in one commit, and print where it is. `retry` is the command to do it again.

    Raises `UserError` when it can't be pushed: the Hub then has nothing of it, and all files are where they were.
    """
    retry = retry or shlex.join(["python", "recipes/push.py", str(adapter), destination.repo, *destination.options])
    api = HfApi(token=destination.token, library_name="exploitative-poker")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written = (contents or Contents()).write(folder, adapter, destination.repo, retry)
        publication = replace(written, revision=destination.revision)
        write_card(folder, publication)  # what is wrong with it is told before there is a repository
        require_no_secret(folder, destination.token or get_token())
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
    _tell_other_weights(publication)
    if not publication.evaluations:
        console.print(
            f"Its card has no numbers: judge it with 'python recipes/evaluate.py --hero llm:{adapter} --output DIR' "
            "and push again with --evaluation DIR."
        )


def _tell_other_weights(publication: Publication) -> None:
    if publication.other_weights and publication.merged is None and publication.on_hub is None:
        print(
            f"It was trained and judged on {BUNDLED_IN_WORDS}: with the Hub's weights, {publication.base_model}, it "
            "plays differently. --merge pushes the whole model instead, which anybody can load; --judge_on_hub HANDS "
            "judges it with the Hub's, for its card."
        )


def _of_earlier(api: HfApi, repo: str, destination: Destination, files: Collection[str]) -> list[str]:
    """Evaluations and charts of an earlier push, which would be taken for this adapter's, and its other weights."""
    there = api.list_repo_files(repo, revision=destination.revision)
    return [name for name in there if name not in files and any(fnmatch(name, one) for one in OURS)]


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
