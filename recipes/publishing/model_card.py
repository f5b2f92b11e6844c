"""The card of a published adapter: what it plays, against whom it was trained, what was measured, how to play it.

Every number on it is read from an evaluation's `results.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from poker_env.evaluation.estimates import with_interval
from poker_env.games import DEFAULTS
from poker_env.language_model.bundled import BUNDLED, BUNDLED_IN_WORDS
from poker_env.players.poker_config import PokerConfig
from recipes.publishing.publication import Publication, Record

GAMES = {"kuhn": "Kuhn poker", "leduc": "Leduc poker", "holdem": "heads-up no-limit Texas hold'em"}
PROJECT = "Exploitative Poker"
RESULT_COLUMNS = ("against", "mbb/hand [95 %]", "estimator", "hands", "legal answers")


def model_card(publication: Publication) -> ModelCard:
    """The card, metadata and text."""
    return ModelCard(f"---\n{card_data(publication).to_yaml()}\n---\n\n{card_text(publication)}")


def card_data(publication: Publication) -> ModelCardData:
    """The card's metadata: base model, tags, licence, and the evaluations as `model-index`."""
    own = publication.poker
    results = [result for record in publication.evaluations for result in _eval_results(record, own)]
    licence = publication.licence or {}
    return ModelCardData(
        base_model=publication.base_model,
        base_model_relation="adapter" if publication.merged is None else "finetune",
        library_name="peft" if publication.merged is None else "transformers",
        pipeline_tag="text-generation",
        language="en",
        tags=[
            "poker",
            publication.poker.game.name,
            "reinforcement-learning",
            "grpo",
            "trl",
            "lora",
            "exploitative-poker",
        ],
        model_name=publication.name,
        eval_results=results or None,
        license=licence.get("license"),
        license_name=licence.get("license_name"),
        license_link=licence.get("license_link"),
    )


def card_text(publication: Publication) -> str:
    """The card without its metadata, in Markdown."""
    parts = [
        f"# {publication.name}\n\n{_summary(publication)}",
        *([f"## Base weights\n\n{_base_weights(publication)}"] if publication.other_weights else []),
        f"## Results\n\n{_results(publication)}",
        f"## The match\n\n{_match(publication)}",
        f"## Training\n\n{_training(publication)}",
        f"## Play\n\n{_play(publication)}",
        f"## Limits\n\n{_limits(publication)}",
        f"## Licence\n\n{_licence(publication)}",
    ]
    return "\n\n".join(parts) + "\n"


def _eval_results(record: Record, poker: PokerConfig) -> Iterator[EvalResult]:
    villain, differently = record["villain"], "".join(f", {word}" for word in _differently(record, poker))

    def result(metric: str, name: str, value: float, args: Mapping[str, Any] | None = None) -> EvalResult:
        return EvalResult(
            task_type="reinforcement-learning",
            task_name="poker",
            dataset_type=_game_name(record),
            dataset_name=f"{record['game']} against {villain}{differently}",
            dataset_config=f"{record['game']} {villain} seed={record['seed']}{differently}",  # results go by it
            dataset_args={
                "villain": villain,
                "villain_sha256": record["checkpoints"].get(villain),
                "seed": record["seed"],
                **record["prompts"].get(record["hero"], {}),
            },
            metric_type=metric,
            metric_name=name,
            metric_value=round(value, 4),
            metric_args=dict(args or {}),
        )

    for estimator in _quoted(record):
        estimate = record["estimates"][estimator]
        yield result(
            "mbb_per_hand",
            f"mbb/hand against {villain} ({_estimator(estimator)})",
            estimate["mbb_per_hand"],
            {"estimator": estimator, "ci95": estimate["ci95"], "hands": estimate["hands"]},
        )
    for reference, capture in record.get("capture", {}).items():
        if capture["value"] is not None:
            yield result(
                "capture",
                f"capture: share of what a best response ({_reference(reference)}) wins",
                capture["value"],
                {
                    "best_response": reference,
                    "ci95": capture["ci95"],
                    "best_response_mbb": capture["best_response_mbb"],
                },
            )
    yield result("win_rate", "share of hands won", record["win_rate"], {"hands": record["hands"]})
    yield result("legal_rate", "share of legal answers", record["legal_rate"], {"hands": record["hands"]})


def _summary(publication: Publication) -> str:
    villain = f" against `{publication.villain}`" if publication.villain else ""
    base = f"[{publication.base_model}](https://huggingface.co/{publication.base_model})"
    if publication.other_weights:
        base = f"{BUNDLED_IN_WORDS} (made from {base})"
    what = (
        f"A LoRA adapter for {base}" if publication.merged is None else f"{base}, with a LoRA adapter merged into it,"
    )
    return f"{what} that plays {GAMES[publication.poker.game.name]}. {PROJECT} " + (
        "made it by imitation, to be trained from there."
        if publication.epochs == 0
        else f"trained it with TRL's GRPO, on hands{villain}."
    )


def _base_weights(publication: Publication) -> str:
    """On which weights it plays as it was judged."""
    hub = publication.base_model
    if publication.merged is not None:
        return (
            f"**These are not the weights of {hub}** but {BUNDLED_IN_WORDS}, on which the adapter was trained and "
            "judged; it is in them. In 16 hands no action's probability is further than "
            f"{publication.merged:.2g} from the adapter's."
        )
    loaded = "the weights it was trained on" if publication.poker.base_model == BUNDLED else "the Hub's"
    told = (
        f"**Trained and judged on other weights than the Hub's.** The base model is {BUNDLED_IN_WORDS} (GGUF SHA-256 "
        f"`{publication.poker.base_sha256 or 'not kept'}`), not the weights of {hub}. On those the adapter plays "
        "differently"
    )
    if publication.on_hub is None:
        return f"{told}; how, nobody knows until it is judged there. {PROJECT} loads it with {loaded}."
    rows = _result_rows(publication.on_hub, publication.poker)
    return (
        f"{told}, as this evaluation on {hub} says; {PROJECT} loads it with {loaded}.\n\n"
        f"{_table(RESULT_COLUMNS, list(rows))}\n\n    {publication.on_hub['command']}"
    )


def _results(publication: Publication) -> str:
    if not publication.evaluations:
        return "Not evaluated yet."
    rows = [row for record in publication.evaluations for row in _result_rows(record, publication.poker)]
    if publication.before is not None:
        rows += _result_rows(publication.before, publication.poker, who="before training: ")
    table = _table(RESULT_COLUMNS, rows)
    captures = [
        f"Capture of {_against(record, publication.poker)}: {_capture(reference, capture)}."
        for record in publication.evaluations
        for reference, capture in record.get("capture", {}).items()
    ]
    notes = [
        "mbb/hand: thousandths of a big blind (in Kuhn and Leduc, of an ante) won per hand. Every deck is played in "
        "both seats. Capture: (win - villain's against itself) / (best response's win - the same)."
    ]
    pictures = [f"![{_caption(path)}]({path})" for path in publication.pictures if path.startswith("evaluation")]
    told = publication.run["commands"] if publication.run else []
    commands = [f"    {record['command']}" for record in publication.evaluations if record["command"] not in told]
    return "\n\n".join([table, *captures, *notes, *(["\n".join(commands)] if commands else []), *pictures])


def _against(record: Record, poker: PokerConfig) -> str:
    """Against whom, and what was otherwise than the adapter plays by itself."""
    return ", ".join([f"`{record['villain']}`", *_differently(record, poker)])


def _differently(record: Record, poker: PokerConfig) -> list[str]:
    """What an evaluation did otherwise than `poker_config.json` says, in words."""
    asked = record["prompts"].get(record["hero"], {})
    told = [f"game {record['game']}"] if record["game"] != str(poker.game) else []
    if asked.get("temperature", poker.temperature) != poker.temperature:
        told.append(f"temperature {asked['temperature']:g}")
    if asked.get("answers") == "menu":
        told.append("answers from the menu alone")
    return told


def _result_rows(record: Record, poker: PokerConfig, who: str = "") -> Iterator[tuple[str, ...]]:
    for estimator in _quoted(record):
        estimate = record["estimates"][estimator]
        yield (
            f"{who}{_against(record, poker)}",
            with_interval(estimate["mbb_per_hand"], estimate["ci95"], estimate["hands"]),
            _estimator(estimator),
            f"{estimate['hands']:,}" if estimate["hands"] else "none needed",
            f"{record['legal_rate']:.1%}",
        )


def _match(publication: Publication) -> str:
    poker = publication.poker
    rows = [("game", f"`{poker.game}`")]
    villains = {record["villain"]: record["checkpoints"] for record in publication.evaluations}
    heroes = {record["hero"] for record in publication.evaluations}
    if publication.run:
        villains = {publication.run["villain"]: publication.run["checkpoints"]} | villains
    for villain, checkpoints in villains.items():
        files = {name: sha256 for name, sha256 in checkpoints.items() if name not in heroes}
        told = ", ".join(f"`{name}` sha256 `{sha256}`" for name, sha256 in files.items())
        rows.append((f"villain `{villain}`", told or "made from no file"))
    rows += [
        ("adapter_model.safetensors", f"sha256 `{publication.sha256}`"),
        (
            "prompts",
            f"{poker.style}" + (f", with advice about `{poker.advisor}`" if poker.advisor else ", without advice"),
        ),
        (
            "answers",
            ("a thought, then an action; " if poker.thinking else "")
            + f"sampled at temperature {poker.temperature:g}, at most {poker.max_new_tokens} tokens",
        ),
    ]
    if poker.game.name == "holdem":
        rows.append(
            ("bet sizes", ", ".join(f"{fraction:g}" for fraction in poker.fractions) + " of the pot, and all-in")
        )
    return _table(("", ""), rows)


def _training(publication: Publication) -> str:
    run = publication.run
    if run is None:
        return f"With {PROJECT}; the command was not kept."
    pictures = [f"![{_caption(path)}]({path})" for path in publication.pictures if not path.startswith("evaluation")]
    packages = ("trl", "transformers", "peft", "torch")
    versions = ", ".join(f"{name} {run['versions'][name]}" for name in packages if name in run["versions"])
    return "\n\n".join(
        [
            " ".join([*_steps(publication), "`run.json` has all settings."]),
            "\n".join(f"    {command}" for command in run["commands"]),
            *([f"With {versions}."] if versions else []),
            *pictures,
        ]
    )


def _steps(publication: Publication) -> Iterator[str]:
    """What was done to it, sentence by sentence."""
    assert publication.run is not None
    config, epochs = publication.run["config"], publication.epochs
    if config["adapter"]:
        yield f"It went on from the adapter `{config['adapter']}`."
    elif config["warm_start_player"]:
        name = config["warm_start_player"]
        player = publication.run["villain"] if name == "villain" else name
        yield (
            f"It first imitated `{player}`, in {config['warm_start_steps']:,} steps on its decisions in "
            f"{config['warm_start_hands']:,} hands."
        )
    hands = config["episodes_per_epoch"]
    if epochs is None:
        yield f"Reinforcement learning: at most {config['num_epochs']:,} epochs of {hands:,} hands."
    elif epochs:
        yield f"Reinforcement learning: {epochs:,} epochs of {hands:,} hands."
    else:
        yield "It never learned from play."


def _play(publication: Publication) -> str:
    repo, player, played = publication.repo, publication.player, publication.poker.game
    revision = f', revision="{publication.revision}"' if publication.revision else ""
    game = played.name if played == DEFAULTS[played.name] else played
    if publication.merged is not None:
        loads = f'It loads with\n`transformers.AutoModelForCausalLM.from_pretrained("{repo}"{revision})`, too.'
    elif publication.poker.base_model == BUNDLED and publication.on_hub is None:
        loads = "PEFT alone can't load it: the base model isn't on the Hub."
    else:
        loads = f"""\
As any PEFT adapter it loads with
`peft.AutoPeftModelForCausalLM.from_pretrained("{repo}"{revision})`, too."""
    return f"""\
With {PROJECT} installed, this repository's name is a player's:

    python recipes/play.py --game {game} --against {player}
    python recipes/evaluate.py --game {game} --hero {player} --villain cfr --hands 2000 --output judged

```python
from poker_env.players.llm import PokerLLMAgent

agent = PokerLLMAgent.load("{player.removeprefix("llm:")}")
agent.get_action_token(prompt)  # an action token such as A1
```

`poker_config.json` says how the model has to be asked. {loads}"""


def _limits(publication: Publication) -> str:
    limits = []
    for record in publication.evaluations[:1]:
        estimate = record["estimates"].get("exact") or record["estimates"][record["headline"]]
        interval, villain = estimate["ci95"], f"`{record['villain']}`"
        if interval is not None and interval[1] < 0:
            limits.append(f"It loses to {villain}.")
        elif interval is None or interval[0] <= 0:
            limits.append(f"Over {record['hands']:,} hands its win rate against {villain} can't be told from 0.")
    villain = f"`{publication.villain}`" if publication.villain else "one opponent"
    limits += [
        f"It was trained to exploit {villain}. That is overfitting on purpose: others may well beat it, and it is no "
        "approximation of an equilibrium.",
        f"It knows {GAMES[publication.poker.game.name]} at these stakes, two players, and the menu above. Asked "
        "otherwise than `poker_config.json` says it is another player.",
        "An answer that names no legal action is played as a fold.",
        "Made for research. Most poker sites forbid bots.",
    ]
    return "\n".join(f"- {limit}" for limit in limits)


def _licence(publication: Publication) -> str:
    base = f"[{publication.base_model}](https://huggingface.co/{publication.base_model})"
    if not publication.licence:
        return f"That of the base model {base} applies."
    name = publication.licence.get("license_name", publication.licence["license"])
    return f"`{name}`. The licence of the base model {base} applies as well."


def _quoted(record: Record) -> list[str]:
    """Names of the estimates to show: the headline, and the exact value where there is one."""
    return list(dict.fromkeys([record["headline"], *(["exact"] if "exact" in record["estimates"] else [])]))


def _capture(reference: str, capture: Mapping[str, Any]) -> str:
    best = f"of the {capture['best_response_mbb']:+,.0f} mbb/hand of a best response ({_reference(reference)})"
    if capture["value"] is None:
        return f"unknown, {best}"
    interval = f" [{capture['ci95'][0]:.1%}, {capture['ci95'][1]:.1%}]" if capture["ci95"] else ""
    return f"{capture['value']:.1%}{interval} {best}"


def _reference(name: str) -> str:
    return "exact" if name == "exact" else f"local, {name.removeprefix('lbr:')}"


def _estimator(name: str) -> str:
    return {"aivat": "AIVAT"}.get(name, name.replace("_", "-"))


def _caption(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".png").replace("_", " ")


def _game_name(record: Record) -> str:
    return str(record["game"]).partition(":")[0]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
