"""Example packages as pip installs them."""

import shutil
import subprocess
import sys


def install(example, tmp_path_factory):
    """Where pip put the package of a folder."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "installed"))
    shutil.copytree(example, source, dirs_exist_ok=True)  # pip builds in the source's folder
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return target
