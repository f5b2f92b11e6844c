"""Running a recipe as a process: what is echoed, kept and reported, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modal_app.supervise import Outcome, accelerate, supervise


def run(code, saved=lambda: None, keep=lambda: None, **options):
    return supervise([sys.executable, "-c", code], saved, keep, every=0.02, **options)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("print('fine')", Outcome(0)),
        ("import sys; print('error: no such game'); sys.exit(1)", Outcome(1, "no such game")),
        ("raise ValueError('a bug')", Outcome(1)),
        ("print('error: not mine'); raise ValueError('a bug')", Outcome(1)),
        ("import os; os.kill(os.getpid(), 9)", Outcome(-9)),
    ],
)
def test_how_it_ended(code, outcome):
    assert run(code) == outcome
    assert outcome.crashed == (outcome.code != 0 and not outcome.error)


def test_a_crash_raises_so_that_modal_tries_again_and_a_mistake_does_not():
    assert Outcome(0).user_error() == "" and Outcome(1, "no such game").user_error() == "no such game"
    with pytest.raises(RuntimeError, match="exit code -9"):
        Outcome(-9).user_error()


def test_a_gpu_that_is_too_small_is_not_tried_again():
    outcome = run("import sys; sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB')")
    assert not outcome.crashed and "per_device_train_batch_size" in outcome.user_error()


def test_what_it_prints_is_echoed(capsys):
    run("import sys; print('one'); print('two', file=sys.stderr)")
    assert sorted(capsys.readouterr().out.split()) == ["one", "two"]


def saving(mark, kept):
    """A recipe that saves something, and ends when it has been kept."""
    return f"""
import time
from pathlib import Path
Path({str(mark)!r}).touch()
while not Path({str(kept)!r}).exists():
    time.sleep(0.01)
"""


def test_it_is_kept_after_each_change_and_at_the_end(tmp_path):
    mark, kept, times = tmp_path / "mark", tmp_path / "kept", []

    def keep():
        times.append(mark.exists())
        kept.touch()

    run(saving(mark, kept), saved=mark.exists, keep=keep)
    assert times == [True, True]


def test_what_could_not_be_kept_is_kept_later(tmp_path, capsys):
    mark, kept, times = tmp_path / "mark", tmp_path / "kept", []

    def keep():
        times.append(mark.exists())
        if len(times) == 1:
            raise ConnectionError("no network")
        kept.touch()

    run(saving(mark, kept), saved=mark.exists, keep=keep)
    assert len(times) == 3 and "not kept yet: no network" in capsys.readouterr().out


def wait_for_the_end_of(pid):
    """A process that ended may stay a zombie for a while."""
    status = Path(f"/proc/{pid}/status")
    while status.exists() and "State:\tZ" not in status.read_text():
        time.sleep(0.01)


def test_it_is_stopped_with_all_its_processes_when_its_time_is_up(capsys):
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    outcome = run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", seconds=1)
    assert outcome.stopped and not outcome.crashed and not outcome.user_error()
    wait_for_the_end_of(int(capsys.readouterr().out))


def test_an_interrupt_stops_it_and_keeps_what_there_is(tmp_path):
    """As a preempted container's main process is interrupted."""
    script = f"""
import sys
from pathlib import Path
from modal_app.supervise import supervise
try:
    supervise([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
              lambda: None, lambda: Path({str(tmp_path / "kept")!r}).touch())
except KeyboardInterrupt:
    sys.exit(7)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    recipe = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    assert process.wait() == 7 and (tmp_path / "kept").exists()
    wait_for_the_end_of(recipe)


def test_all_gpus_train():
    assert "--multi_gpu" not in accelerate(1, "train.py")
    command = accelerate(4, "train.py", "--resume")
    assert "--multi_gpu" in command and command[command.index("--num_processes") + 1] == "4"
    assert command[-2].endswith("recipes/train.py") and command[-1] == "--resume"
