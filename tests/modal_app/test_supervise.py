"""Running a recipe as a process: what is echoed, kept and reported, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modal_app.supervise import Outcome, accelerate, supervise
from recipes.options.config import parse_config


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
    assert not outcome.crashed and "gradient_checkpointing" in outcome.user_error()


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


def wait_for(path):
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.01)


def wait_for_the_end_of(pid):
    """A process that ended may stay a zombie for a while."""
    status, end = Path(f"/proc/{pid}/status"), time.monotonic() + 10
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() < end, f"{pid} goes on"
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


def child(code):
    """Python that runs some other one in a session of its own, as several GPUs have theirs, and prints its pid."""
    return f"""
import subprocess, sys
process = subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""


def supervising(code, mark):
    """A process that supervises a recipe, exits with 7 when it was to end, and touches `mark` where it keeps."""
    return f"""
import signal, sys
from pathlib import Path
from modal.exception import InputCancellation
from modal_app.supervise import supervise

def cancel(*_):
    raise InputCancellation("by the user")

signal.signal(signal.SIGUSR1, cancel)  # as Modal's runtime has it
try:
    supervise([sys.executable, "-c", {code!r}], lambda: None, Path({str(mark)!r}).touch)
except (KeyboardInterrupt, InputCancellation):
    sys.exit(7)
"""


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGUSR1], [signal.SIGUSR1, signal.SIGINT] * 2])
def test_workers_in_sessions_of_their_own_end_in_peace(signals, tmp_path):
    """Told to end once, or again while it is at it: the worker has its time, all is kept, nobody is left."""
    saving = f"""
import signal, sys, time
from pathlib import Path
def end(*_):
    Path({str(tmp_path / "told")!r}).touch()
    time.sleep(0.5)
    Path({str(tmp_path / "saved")!r}).touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
Path({str(tmp_path / "ready")!r}).touch()
time.sleep(600)
"""
    command = [sys.executable, "-c", supervising(child(saving), tmp_path / "kept")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    wait_for(tmp_path / "ready")
    process.send_signal(signals[0])
    wait_for(tmp_path / "told")
    for number in signals[1:]:
        process.send_signal(number)
        time.sleep(0.05)
    assert process.wait(10) == 7
    assert (tmp_path / "saved").exists() and (tmp_path / "kept").exists()
    wait_for_the_end_of(worker)


def test_what_does_not_listen_is_killed(monkeypatch, capsys):
    monkeypatch.setattr("modal_app.supervise.GRACE", 0.3)
    assert run(child(DEAF), seconds=0.5).stopped
    wait_for_the_end_of(int(capsys.readouterr().out))


def test_a_worker_whose_launcher_is_gone_is_found(monkeypatch, capsys):
    monkeypatch.setattr("modal_app.supervise.GRACE", 0.3)
    worker = f"import os, subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True)"
    assert run(worker, seconds=0.5).stopped
    wait_for_the_end_of(int(capsys.readouterr().out))


@pytest.mark.parametrize(("end", "ended"), [("cancel", "cancelled"), ("interrupt", "preempted")])
def test_modal_s_runtime_reaches_the_recipe(cloud, end, ended):
    """A cancelled call, a preempted container: what is saved on SIGTERM is on the volume when it is over."""
    process = cloud.popen("run", str(Path(__file__).parent / "supervised.py"))
    attempt = cloud.wait_for(lambda: cloud.attempts[:1])[0]
    cloud.wait_for(attempt.container.committed("/mnt/marks/started").exists)
    if end == "cancel":
        attempt.container.cancel()
    else:
        cloud.control.preempt(attempt)
    cloud.wait_for(attempt.container.gone.is_set, seconds=20)
    assert attempt.ended == ended and attempt.container.committed("/mnt/marks/saved").exists()
    process.kill()


def test_all_gpus_train():
    assert "--multi_gpu" not in accelerate(1, "train.py")
    command = accelerate(4, "train.py", "--resume")
    assert (
        command[command.index("--mixed_precision") + 1] == "no"
        and "--multi_gpu" in command
        and command[command.index("--num_processes") + 1] == "4"
    )
    assert command[-2].endswith("recipes/train.py") and command[-1] == "--resume"


@pytest.mark.parametrize(("dtype", "precision"), [("bfloat16", "bf16"), ("float32", "no")])
def test_the_recipe_s_own_precision_counts(dtype, precision, monkeypatch):
    """Not the launcher's, which it tells by an environment variable."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert parse_config(["--dtype", dtype]).mixed_precision == precision
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "no"
