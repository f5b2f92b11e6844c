"""Adapters to the Hugging Face Hub. It runs in a container that has the token as HF_TOKEN."""

from __future__ import annotations

from pathlib import Path

from poker_env.errors import UserError, first_line


def check_token() -> None:
    """Raise `UserError` when the Hub doesn't know the token."""
    from huggingface_hub import HfApi

    try:
        HfApi().whoami()
    except OSError as error:
        raise UserError(f"the Hub refuses the token ({first_line(error)}): renew it in the Modal secret") from error


def upload(adapter: Path, repository: str) -> str:
    """Upload a folder as a model repository's content and return its address. Raises `UserError` when that fails."""
    from huggingface_hub import HfApi

    if not adapter.is_dir():
        raise UserError(f"{adapter.parent.name} has no adapter {adapter.name}: it is not finished")
    try:
        HfApi().create_repo(repository, private=True, exist_ok=True)
        HfApi().upload_folder(repo_id=repository, folder_path=adapter, commit_message=f"Run {adapter.parent.name}")
    except (OSError, ValueError) as error:
        raise UserError(f"can't push to {repository} ({first_line(error)}): the adapter is on the volume") from error
    return f"https://huggingface.co/{repository}"
