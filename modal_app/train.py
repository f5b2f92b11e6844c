"""Train on a Modal GPU what `recipes/train.py` trains here.

    modal run modal_app/train.py --gto-checkpoint checkpoint_1000 --num-epochs 20 --episodes-per-epoch 32

    modal run --detach modal_app/train.py --config recipes/configs/holdem_gpu.yaml --gpu A100-80GB --max-cost 20

    modal run modal_app/train.py::status --run-name NAME

docs/modal.md explains the options, the volumes and the costs.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import modal

from modal_app import cost
from modal_app.common import (
    CACHE,
    HOURS,
    MINUTES,
    OPPONENTS,
    PREFLIGHT_MIB,
    RUNS,
    RUNS_VOLUME,
    cache,
    how_to_reach,
    hub_secret,
    make_image,
    one_line_errors,
    opponents_to_read,
    runs,
    runs_to_read,
)
from poker_env.errors import UserError, first_line

app = modal.App("exploitative-poker-train", image=make_image())


@app.function(
    volumes={str(OPPONENTS): opponents_to_read, str(RUNS): runs_to_read, str(CACHE): cache},
    cpu=2.0,
    memory=PREFLIGHT_MIB,
    timeout=60 * MINUTES,
    scaledown_window=2,
)
def preflight(
    name: str,
    resume: bool,
    base: str | None,
    opponent: str | None,
    options: dict[str, Any],
    gpu: str | None,
    token: bool,
    push: bool,
) -> dict[str, Any]:
    """Everything that can go wrong without a GPU: a dictionary with `error`, or with what is known about the run."""
    from modal_app.preflight import prepare_run
    from modal_app.publish import check_token

    try:
        if token:
            check_token()
        return prepare_run(name, resume, base, opponent, options, gpu, push)
    except UserError as error:
        return {"error": str(error)}
    finally:
        cache.commit()  # what was downloaded


@app.function(
    gpu=list(cost.FALLBACK),
    volumes={str(OPPONENTS): opponents_to_read, str(RUNS): runs, str(CACHE): cache},
    cpu=cost.CPU_CORES,
    memory=cost.MEMORY_MIB,
    timeout=4 * HOURS,
    startup_timeout=20 * MINUTES,
    retries=modal.Retries(max_retries=3, initial_delay=1.0, backoff_coefficient=1.0),
    single_use_containers=True,  # a retry shares no CUDA state with what crashed
)
def train(
    name: str,
    config: str,
    rates: dict[str, Any],
    gpus: list[str],
    max_cost: float | None,
    timeout: float,
    repository: str | None,
) -> dict[str, Any]:
    """Go on with a run from its newest whole checkpoint, or start it. What a retry can't mend is returned as `error`.

    `timeout` is this function's, in seconds. Raises when the recipe crashes or its time is up: then Modal tries again.
    """
    from modal_app.publish import upload
    from modal_app.training import go_on

    report = go_on(RUNS / name, config, cost.Rates(**rates), gpus, max_cost, timeout, runs.commit)
    if repository is not None and not report["error"]:
        try:
            upload(RUNS / name / "final", repository)
        except UserError as error:
            report["error"] = str(error)
    return report


@app.function(volumes={str(RUNS): runs_to_read}, cpu=1.0, timeout=30 * MINUTES)
def publish(name: str, repository: str) -> dict[str, Any]:
    """Push a finished run's adapter to the Hub: a dictionary with `error`, empty when all went well."""
    from modal_app.publish import upload

    try:
        upload(RUNS / name / "final", repository)
    except UserError as error:
        return {"error": str(error)}
    return {"error": ""}


@app.function(volumes={str(RUNS): runs_to_read}, cpu=1.0, timeout=5 * MINUTES)
def status(run_name: str) -> None:
    """Print how a run is getting on."""
    from modal_app.record import describe_status

    try:
        print(describe_status(RUNS, run_name))
    except UserError as error:
        print("error:", error)


@app.local_entrypoint()
def main(
    gto_checkpoint: str | None = None,
    num_epochs: int | None = None,
    episodes_per_epoch: int | None = None,
    model_name: str | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    game: str | None = None,
    villain: str | None = None,
    config: str | None = None,
    reward: str | None = None,
    bluff_bonus: float | None = None,
    aggression_bonus: float | None = None,
    fold_equity_bonus: float | None = None,
    exploitative_sizing_bonus: float | None = None,
    run_name: str | None = None,
    resume: bool = False,
    gpu: str | None = None,
    timeout_hours: float = 4.0,
    retries: int = 3,
    max_cost: float | None = None,
    push_to_hub: str | None = None,
    hub_token_secret: str | None = None,
) -> None:
    """Check everything on a CPU, say what it may cost, train on a GPU, say what it did cost."""
    options = {
        "num_epochs": num_epochs,
        "episodes_per_epoch": episodes_per_epoch,
        "model_name": model_name,
        "learning_rate": learning_rate,
        "seed": seed,
        "game": game,
        "villain": villain,
        "reward": reward,
        "bluff_bonus": bluff_bonus,
        "aggression_bonus": aggression_bonus,
        "fold_equity_bonus": fold_equity_bonus,
        "exploitative_sizing_bonus": exploitative_sizing_bonus,
    }
    with one_line_errors():
        if resume and run_name is None:
            raise UserError("--resume needs the --run-name of the run to go on with")
        if gto_checkpoint is not None and villain is not None:
            raise UserError("--gto-checkpoint and --villain both name the opponent: give one of them")
        if gpu is not None:
            cost.parse_gpu(gpu)
        if max_cost is not None and max_cost <= 0:
            raise UserError(f"max-cost {max_cost:g} must be above 0")
        cost.plan_within(None, 1.0, timeout_hours, retries)
        name = run_name or time.strftime("run-%Y%m%d-%H%M%S")
        if push_to_hub and hub_token_secret is None:
            hub_token_secret = "huggingface-secret"
        secrets = [hub_secret(hub_token_secret)] if hub_token_secret else []
        base = read_local(config)
        check = preflight.with_options(secrets=secrets) if secrets else preflight
        known = check.remote(name, resume, base, gto_checkpoint, options, gpu, bool(secrets), push_to_hub is not None)
        if known.get("error"):
            raise UserError(known["error"])
        if known["finished"]:
            if not push_to_hub:
                raise UserError(
                    f"run {name!r} is finished after {known['epochs']} epochs, its adapter is {name}/final: to go on "
                    "give a larger --num-epochs, to push it --push-to-hub"
                )
            error = publish.with_options(secrets=secrets).remote(name, push_to_hub)["error"]
            if error:
                raise UserError(error)
            return
        rates = cost.current()
        gpus = known["gpus"]
        budget = None if max_cost is None else max_cost - known["spent"]
        dearest = max(gpus, key=rates.container)
        plan = cost.plan_within(budget, rates.container(dearest), timeout_hours, retries)
        print(f"run {name}: {known['match']}, epochs {known['done'] + 1} to {known['epochs']}")
        bound = f"{dearest} with CPU and memory"
        print(cost.describe_bound(plan, bound, rates.container(dearest), rates.source))
        print(estimate(known, rates))
        again = f"modal run modal_app/train.py --run-name {name} --resume"
        call = train.with_options(
            gpu=gpus[0] if len(gpus) == 1 else None,
            timeout=plan.timeout,
            retries=modal.Retries(max_retries=plan.retries, initial_delay=1.0, backoff_coefficient=1.0),
            secrets=secrets or None,
        ).spawn(name, known["config"], asdict(rates), gpus, max_cost, plan.timeout, push_to_hub)
        print(f"started: if it ends early, go on with '{again}'")
        print(how_to_reach(app))
        try:
            report = call.get()
        except Exception as error:  # what the last attempt ended with
            raise UserError(f"training did not finish ({first_line(error)}): go on with '{again}'") from error
        print(f"{report['epochs']} epochs; {report['cost']}")
        if report["error"]:
            raise UserError(f"{report['error']}; what is saved: run {name}")
        print(f"the adapter: mkdir -p {name} && modal volume get {RUNS_VOLUME} {name}/final {name}")


def estimate(known: dict[str, Any], rates: cost.Rates) -> str:
    """What the hands that are left should take and cost on each GPU asked for, in one line.

    It goes by what a run on such a GPU took for a hand; where none has measured it, by what has to be computed.
    """
    hands = (known["epochs"] - known["done"]) * known["hands_per_epoch"]
    told = []
    for gpu in known["gpus"]:
        seconds, run = known["measured"].get(gpu) or (known["estimated"][gpu], None)
        source = "estimated, not measured" if run is None else f"as measured in run {run}"
        told.append(f"{cost.describe_time(hands * seconds, rates.container(gpu))} on {gpu} ({source})")
    return f"{'; '.join(told)}: {hands} hands, without start, warm start and evaluations"


def read_local(path: str | None) -> str | None:
    """The text of a local YAML. Raises `UserError` when it can't be read."""
    try:
        return None if path is None else Path(path).read_text()
    except OSError as error:
        raise UserError(f"can't read the config {path}: {error.strerror}") from error
