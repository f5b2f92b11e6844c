"""What goes wrong on a network is told apart: not taken, refused, or nobody knows."""

import socket
import threading
import time

import pytest
from faulty_server import FaultyServer, running

from poker_env.errors import UserError
from poker_env.services.web import Lost, NotTaken, Refused, Web, asked_pause


def echo(method, path, headers, body):
    return 200, {"asked": f"{method} {path} {body.decode()}", "agent": headers["User-Agent"]}


def faults(*names):
    """For the first requests, then none."""
    return lambda number: names[number - 1] if number <= len(names) else None


def test_json_goes_both_ways():
    with running(FaultyServer(echo)) as server:
        found = Web(server.url, "URL").post("/act", {"incr": "c"})
        assert found == {"asked": 'POST /act {"incr": "c"}', "agent": "exploitative-poker"}
        assert Web(f"{server.url}/", "URL").get("/hands")["asked"] == "GET /hands "


@pytest.mark.parametrize("fault", ["unheard", "mute", "half", "garbage", "html", "stalled"])
def test_what_became_of_a_request_is_not_known(fault):
    with running(FaultyServer(echo, faults(fault))) as server:
        asked = Web(server.url, "URL", timeout=0.5)
        with pytest.raises(Lost):
            asked.post("/act", {})
        assert server.requests == 1, "it must not be sent again"
        assert asked.post("/act", {})


def test_a_request_that_was_not_taken_is_sent_again():
    with running(FaultyServer(echo, faults("busy", "busy", "busy"))) as server:
        assert Web(server.url, "URL").post("/act", {})
        assert server.requests == 4


def test_patience_ends(monkeypatch):
    with running(FaultyServer(echo, lambda number: "overloaded")) as server:
        with pytest.raises(NotTaken, match=r"takes no requests \(HTTP 503, 1 tries\)"):
            Web(server.url, "URL", patience=0.1).post("/act", {})
        assert server.requests == 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("soon", None),
        ("nan", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_the_pause_a_service_asks_for(said, seconds):
    assert asked_pause(said) == seconds


def test_a_pause_holds_for_all_that_ask():
    """And ends when nothing more is to be sent."""
    with running(FaultyServer(echo, lambda number: "overloaded")) as server:
        asked, failed = Web(server.url, "URL"), []

        def ask():
            try:
                asked.get("/")
            except NotTaken:
                failed.append(True)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        assert server.requests == 1
        asked.close()
        for thread in threads:
            thread.join(10)
        assert failed == [True] * 3 and server.requests == 1


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (400, {"error_msg": "Badly formed\nrequest"}, "Badly formed request"),
        (422, {"detail": "no such action"}, "no such action"),
        (404, "nothing", '"nothing"'),
    ],
)
def test_a_refusal_says_why(status, answer, message):
    with running(FaultyServer(lambda *_: (status, answer))) as server, pytest.raises(Refused) as refused:
        Web(server.url, "URL").post("/act", {})
    assert (str(refused.value), refused.value.status) == (message, status)


def test_an_address_where_nobody_is_fails_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotTaken, match=f"can't reach http://127.0.0.1:{port} .*check the network, or SLUMBOT_URL"):
        Web(f"http://127.0.0.1:{port}", "SLUMBOT_URL").get("/")


def test_nothing_is_sent_anywhere_else():
    """A redirection is a refusal."""
    with (
        running(FaultyServer(echo)) as elsewhere,
        running(FaultyServer(lambda *_: (302, {}), location=elsewhere.url)) as server,
    ):
        with pytest.raises(Refused) as refused:
            Web(server.url, "URL", {"X-API-KEY": "secret"}).post("/act", {})
        assert refused.value.status == 302 and elsewhere.requests == 0


@pytest.mark.parametrize(
    "url", ["slumbot.com", "https://[", "https://a:b", "ftp://slumbot.com", "https://", "file:///etc/passwd"]
)
def test_an_address_that_is_none(url):
    with pytest.raises(UserError, match="is no address"):
        Web(url, "SLUMBOT_URL")
