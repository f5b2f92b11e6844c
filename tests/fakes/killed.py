"""A solver that is killed while it works, in a process of its own."""

import subprocess
import sys
import time
from pathlib import Path

FAKES = Path(__file__).parent


def solve_until_killed(quick, options, run):
    """`recipes/solve.py` with `quick`, a function of test_solve's for a small game, killed after `run` was saved."""
    child = (
        f"import sys; sys.path[:0] = [{str(FAKES.parent / 'recipes')!r}, {str(FAKES)!r}]\n"
        "import test_solve; from pytest import MonkeyPatch; from recipes import solve\n"
        f"solve.main([*(test_solve.{quick}(MonkeyPatch()) or ()), *{options!r}, '--minutes', '5'])"
    )
    process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not run.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
    finally:
        process.kill()
        process.wait()
