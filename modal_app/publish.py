"""Adapters to the Hugging Face Hub. It runs in a container that has the token as HF_TOKEN."""

from __future__ import annotations

from pathlib import Path

from poker_env.errors import UserError, first_line


def check_token() -> None:
    """Raise `UserError` when the Hub doesn't know the token, or can't be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        HfApi().whoami()
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            told = f"the Hub refuses the token ({first_line(error)}): renew it in the Modal secret"
        else:
            told = f"the Hub can't say whose token this is ({first_line(error)}): try again later"
        raise UserError(told) from error
    except (HTTPError, OSError) as error:
        raise UserError(f"the Hub can't be reached ({first_line(error)}): try again later") from error


def upload(adapter: Path, repository: str) -> None:
    """Push a run's adapter with its evaluations and its card, as `recipes/push.py` does; a new repository is private.

    Raises `UserError` when that fails, or the run isn't finished.
    """
    from recipes.push import Destination, push

    if not adapter.is_dir():
        raise UserError(f"{adapter.parent.name} has no adapter {adapter.name}: it is not finished")
    again = f"modal run modal_app/train.py --run-name {adapter.parent.name} --resume --push-to-hub {repository}"
    push(adapter, Destination(repository, private=True), again)
