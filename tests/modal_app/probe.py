"""An app that uploads nothing but itself, and says what of this project its container has all the same."""

import importlib.util
from pathlib import Path

import modal

app = modal.App("probe")


@app.function()
def look() -> None:
    names = ("modal_app", "poker_env", "recipes", "reward_fns", "tests")
    print("found:", [name for name in names if importlib.util.find_spec(name)])
    print("there:", sorted(path.name for path in Path("/root").iterdir() if not path.name.startswith(".")))


@app.local_entrypoint()
def main() -> None:
    look.remote()
