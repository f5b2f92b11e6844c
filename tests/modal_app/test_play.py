"""The web player on Modal: what is asked for, what is deployed, what is wrong; and the page it serves."""

import json
import re

import pytest
from fake_modal.containers import PROJECT
from modal._runtime.user_code_imports import import_single_function_service

from modal_app import play
from modal_app.common import OPPONENTS_VOLUME, RUNS_VOLUME

pytest.importorskip("gradio")

TABLE = {"against": "cfr:checkpoint_1000", "game": "kuhn", "thoughts": False, "path": "/here"}


def test_what_the_web_player_asks_for():
    web = play.make_app(TABLE, "L4", 2.0).registered_functions["web"]
    info = web.info()
    volumes = {path: (mount.name, bool(mount.read_only)) for path, mount in info.volumes.items()}
    assert (info.gpus, info.timeout, info.max_retries) == ([("L4", 1)], 7200, None)
    assert volumes == {
        "/mnt/opponents": (OPPONENTS_VOLUME, True),
        "/mnt/runs": (RUNS_VOLUME, True),
        "/mnt/cache": ("poker-huggingface-cache", False),
    }
    assert play.make_app(TABLE, None, 1.0).registered_functions["web"].info().gpus == []


@pytest.mark.slow
def test_a_table_is_deployed(cloud, opponent, monkeypatch):
    """Checked on a CPU, priced, deployed with what it was told; what is wrong deploys nothing."""
    cloud.modal("volume", "create", OPPONENTS_VOLUME)
    cloud.modal("volume", "put", OPPONENTS_VOLUME, str(opponent))
    command = ["run", "modal_app/play.py", "--against", "cfr:checkpoint_1000"]
    assert "is a strategy for kuhn" in cloud.modal(*command, code=2)
    assert "unknown GPU 'L5'" in cloud.modal(*command, "--game", "kuhn", "--gpu", "L5", code=2)
    assert "name a bot or a model" in cloud.modal("run", "modal_app/play.py", "--against", "human", code=2)
    assert [function.definition.function_name for function in cloud.control.functions.values()].count("web") == 0

    output = cloud.modal(*command, "--game", "kuhn", "--gpu", "L4", "--timeout-hours", "1")
    assert re.search(r"at most \$\d+\.\d\d/h for L4 with CPU and memory while a browser has the page open", output)
    url = re.search(r"play at (https://\S+)/(\S+) \(", output)
    web = next(item for item in cloud.control.functions.values() if item.definition.function_name == "web")
    told = json.loads(cloud.control._environment(web.definition)[play.TABLE])
    assert told == TABLE | {"path": f"/{url[2]}"} and len(url[2]) >= 12
    assert web.gpus == ["L4:1"] and web.definition.timeout_secs == 3600
    assert (web.definition.concurrency_limit, web.definition.warm_pool_size) == (1, 0)
    assert web.definition.webhook_config.type and web.definition.max_concurrent_inputs == 100
    files = cloud.control.uploaded(web.definition)
    assert f"/root/{web.definition.module_name}.py" in files  # which the container imports
    monkeypatch.syspath_prepend(str(PROJECT / "modal_app"))
    found = import_single_function_service(web.definition, None)._user_defined_callable
    assert found.__code__.co_filename == play.web.__code__.co_filename and found.__name__ == "web"
    packages = [line for line in cloud.control.dockerfile(web.definition.image_id) if "gradio==" in line]
    assert packages and "/root/recipes/frontends/play.css" in files


def test_the_page_is_at_its_path_alone(monkeypatch):
    from fastapi.testclient import TestClient

    monkeypatch.setenv(play.TABLE, json.dumps(TABLE | {"against": "cfr"}))
    with TestClient(play.web()) as client:
        page = client.get("/here/")
        assert page.status_code == 200 and "Poker against cfr" in page.text
        assert client.get("/").status_code == client.get("/docs").status_code == 404
