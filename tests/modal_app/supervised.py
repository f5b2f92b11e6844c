"""An app that supervises a recipe which takes a while to end, and leaves a mark when it has."""

import sys
from pathlib import Path

import modal

app = modal.App("supervised")
folder = modal.Volume.from_name("marks", create_if_missing=True)
image = modal.Image.debian_slim().add_local_python_source("modal_app", "poker_env")

RECIPE = """
import os, signal, subprocess, sys, time
worker = '''
import signal, sys, time
from pathlib import Path
def end(*_):
    time.sleep(1)
    Path('/mnt/marks/saved').touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
Path('/mnt/marks/started').touch()
time.sleep(600)
'''
subprocess.run([sys.executable, '-c', worker], start_new_session=True)
"""
"""Its work is done in a session of its own, as on several GPUs."""


@app.function(image=image, volumes={"/mnt/marks": folder})
def supervised() -> None:
    from modal_app.supervise import supervise

    print("supervising")
    supervise([sys.executable, "-c", RECIPE], Path("/mnt/marks/started").exists, folder.commit)


@app.local_entrypoint()
def main() -> None:
    supervised.remote()
