"""What a repository on the Hub is to hold, collected in a folder: adapter, evaluations, charts and the model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError, safe_open

from poker_env.errors import UserError, first_line
from poker_env.evaluation.compare import ESTIMATORS, VALUES, StoredEvaluation
from poker_env.evaluation.hud import habits
from poker_env.evaluation.results import judged_sha256
from poker_env.files import write_atomically
from poker_env.hand import read_hands
from poker_env.language_model.adapter import BASE_MODEL, WEIGHTS, adapter_sha256, name_base_model, put_on, read_config
from poker_env.language_model.bundled import BUNDLED, BUNDLED_HUB_ID
from poker_env.language_model.skeleton import skeleton
from poker_env.players.poker_config import PokerConfig
from recipes.publishing.model_card import model_card
from recipes.publishing.publication import Publication, Record
from recipes.runs.record import RUN_FILE, WARM_START, read_run_record

RESULTS, CURVE = "results.json", "learning_curve.png"
CARD_NEEDS = (
    *("game", "hero", "villain", "seed", "hands", "headline", "estimates", "win_rate", "legal_rate", "checkpoints"),
    *("prompts", "command"),
)
"""Of an evaluation's `results.json`."""


def collect(
    folder: Path,
    adapter: Path,
    repo: str,
    evaluations: Sequence[Path] | None = None,
    base_model: str | None = None,
    merged: bool = False,
) -> Publication:
    """Write all that is to be pushed but the card into a folder, and return what the card is about.

    That is the adapter, or the base model with it `merged` in.

    Raises `UserError` when the adapter isn't one of this project's, its base model is a folder and `base_model` names
    no other, an evaluation judged another adapter, or a file can't be read.
    """
    sha256, poker = adapter_sha256(adapter), PokerConfig.load(adapter)
    _require_safetensors(adapter / WEIGHTS)
    trained_on, named = poker.base_model, str(read_config(adapter)[BASE_MODEL])
    _require_fitting(adapter, poker)
    if trained_on == BUNDLED:
        named = BUNDLED_HUB_ID
    if base_model is not None:
        poker = replace(poker, base_model=base_model)
    elif Path(named).is_absolute() or Path(named).exists():
        raise UserError(
            f"adapter {adapter} was trained on the folder {named}, which nobody else has: name its "
            "place on the Hub with --base_model ORG/NAME"
        )
    run = adapter.parent
    own, own_before, record = run / "evaluation", run / "evaluation_before", read_run_record(run)
    chosen = list(evaluations or ([own] if (own / RESULTS).exists() else []))
    records = [_record(evaluation) for evaluation in chosen]
    others = [path for path, found in zip(chosen, records, strict=True) if judged_sha256(found) != sha256]
    if others and evaluations:
        raise UserError(
            f"{others[0]} didn't judge adapter {adapter}: do that with 'python recipes/evaluate.py --hero "
            f"llm:{adapter} --output DIR'"
        )
    if others:  # the run's judged its `final`
        chosen, records = [], []
    shows_before = [path.resolve() for path in chosen] == [own.resolve()] and (own_before / RESULTS).exists()
    moved = _merge(folder, adapter) if merged else None
    try:
        for path in [] if merged else adapter.iterdir():
            if path.is_file() and path.name != "README.md" and not path.name.startswith("."):
                shutil.copyfile(path, folder / path.name)
        if base_model is not None:
            poker.save(folder)
        if not merged and (base_model is not None or trained_on == BUNDLED):
            name_base_model(folder, poker.base_model)
        names = ["evaluation", *(f"evaluation_{number}" for number in range(2, len(chosen) + 1))]
        for name, evaluation in zip(names, chosen, strict=False):
            _copy_results(evaluation, folder / name)
            _copy_charts(evaluation, folder / name)
        if shows_before:
            _copy_results(own_before, folder / own_before.name)
        for kept in (CURVE, RUN_FILE):
            if (run / kept).exists():
                shutil.copyfile(run / kept, folder / kept)
    except OSError as error:
        raise UserError(f"can't copy {error.filename} of adapter {adapter}: {error.strerror}") from error
    return Publication(
        repo=repo,
        base_model=base_model or named,
        trained_on=trained_on,
        poker=poker,
        sha256=sha256,
        evaluations=records,
        before=_record(own_before) if shows_before else None,
        run=record,
        epochs=_epochs(adapter, sha256),
        merged=moved,
        pictures=sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")),
    )


def name_hub_weights(folder: Path, publication: Publication, record: Record) -> Publication:
    """Have peft load an adapter with its base model on the Hub, on which it was judged."""
    name_base_model(folder, publication.base_model)
    return replace(publication, on_hub=record)


def _merge(folder: Path, adapter: Path) -> float:
    """Write the base model with an adapter in its weights into a folder; how far that moved any probability."""
    from recipes.publishing.merge import merge

    moved = merge(str(adapter), folder / "merged")
    for path in (folder / "merged").iterdir():
        path.rename(folder / path.name)
    (folder / "merged").rmdir()
    return moved


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
            f"can't quote the evaluations or {RUN_FILE}, which are damaged ({type(error).__name__}: "
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
    from poker_env.report.charts import action_mix_chart, pot_size_chart, winnings_chart  # imports matplotlib

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


def _epochs(adapter: Path, sha256: str) -> int | None:
    """After how many epochs of a run an adapter is; None where its folder doesn't tell."""
    if adapter.name == WARM_START:
        return 0
    kept = {path: int(path.name[6:]) for path in adapter.parent.glob("epoch_*") if path.name[6:].isdecimal()}
    own = adapter.parent / adapter.name
    if own in kept:
        return kept[own]
    same = (path for path in sorted(kept) if (path / WEIGHTS).is_file() and adapter_sha256(path) == sha256)
    return kept.get(next(same, own))


def _require_fitting(adapter: Path, poker: PokerConfig) -> None:
    """Raise `UserError` where the base model's layers are known on this machine, and the adapter isn't for them."""
    try:
        model = skeleton(poker.base_model, poker.model_init_kwargs, local_files_only=True)
    except UserError:
        return
    put_on(model, adapter)


def _require_safetensors(weights: Path) -> None:
    try:
        with safe_open(weights, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights} is damaged: {first_line(error)}") from error


def require_no_secret(folder: Path, token: str | None) -> None:
    """Raises `UserError` when a file of the folder has the token in it."""
    for path in folder.rglob("*"):
        if token and path.suffix in (".json", ".md", ".jinja", ".txt") and token in path.read_text(errors="ignore"):
            raise UserError(
                f"{path.relative_to(folder)} holds the token for the Hub, for all to see: take it out of the "
                "adapter's or its evaluation's files first"
            )
