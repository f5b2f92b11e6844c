"""Our players behind Slumbot's protocol."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from poker_env.errors import UserError
from poker_env.games import DEFAULTS
from poker_env.hand import Answer, Hand
from poker_env.player_specs import make_player
from poker_env.services.host import BadRequest, Host
from poker_env.services.server import LARGEST_REQUEST, Server

GAME = DEFAULTS["holdem"]


def host(player="tag", seed=1, keep=None):
    return Host(GAME, make_player(player, GAME), seed, keep)


def passive(answer):
    """What the client of the sample says: check or call."""
    text = answer["action"].rpartition("/")[2]
    return "c" if "b" in text.rstrip("c") or (text == "" and "/" not in answer["action"]) else "k"


def play_hand(table, token=None):
    answer = table.new_hand({"token": token} if token else {})
    while "winnings" not in answer:
        answer = table.act({"token": answer["token"], "incr": passive(answer)})
    return answer


def test_a_session():
    kept = []
    table, token, total = host(keep=kept.append), None, 0
    for number in range(40):
        answer = play_hand(table, token)
        token, total = answer["token"], total + answer["winnings"]
        assert answer["client_pos"] == number % 2 and answer["session_num_hands"] == number + 1
        assert (answer["session_total"], kept[-1].payoff) == (total, answer["winnings"])
        assert answer["action"].startswith(answer["old_action"])
        assert abs(answer["won_pot"]) >= abs(answer["winnings"]) and answer["won_pot"] * answer["winnings"] >= 0
        assert len({*answer["hole_cards"], *answer["bot_hole_cards"], *answer["board"]}) == 4 + len(answer["board"])
    assert len(kept) == 40 and all(Hand.from_json(hand.to_json()) == hand for hand in kept)


def test_the_seed_names_the_cards():
    """Of each session by its number; others between don't matter."""

    def cards(table, token=None):
        answers = [play_hand(table, token)]
        for _ in range(5):
            answers.append(play_hand(table, answers[0]["token"]))
        return [{key: value for key, value in answer.items() if key != "token"} for answer in answers]

    first, second = host(), host()
    one, other = cards(first), cards(first)
    begun = [play_hand(second)["token"] for _ in range(2)]
    assert [cards(second, begun[1])[:5], cards(second, begun[0])[:5]] != [one, other]  # they are a hand ahead
    assert cards(host()) == one != other and cards(host(seed=2)) != one


def test_a_player_that_names_no_action_folds_or_checks():
    class Speechless:
        name = "speechless"

        def act(self, observations):
            return [Answer(None) for _ in observations]

    table = Host(GAME, Speechless(), 0)
    answer = table.new_hand({})
    assert (answer["action"], answer["winnings"], answer["won_pot"]) == ("f", 50, 150)
    answer = table.new_hand({"token": answer["token"]})
    assert table.act({"token": answer["token"], "incr": "c"})["action"] == "ck/k"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "Unknown token"),
        ({"token": "else", "incr": "k"}, "Unknown token"),
        ({"token": 5, "incr": "k"}, "Unknown token"),
        ({"token": ["t"], "incr": "k"}, "Unknown token"),
        ({"incr": None}, "incr has to be an action"),
        ({"incr": ["k"]}, "incr has to be an action"),
        ({"incr": "k"}, "Illegal action: a check facing a bet"),
        ({"incr": "b10"}, "Illegal action: b10: a bet is"),
        ({"incr": "b99999999"}, "Illegal action: b99999999: a bet is"),
        ({"incr": "ck"}, "Illegal action: 'ck' is no action"),
        ({"incr": ""}, "Illegal action: '' is no action"),
    ],
)
def test_what_a_client_does_wrong_changes_nothing(request_, reason):
    table = host("lag", seed=3)
    token = play_hand(table)["token"]
    answer = table.new_hand({"token": token})  # the client is on the button
    with pytest.raises(BadRequest, match=reason):
        table.act(request_ if "token" in request_ or not request_ else {"token": token, **request_})
    with pytest.raises(BadRequest, match="Hand in progress"):
        table.new_hand({"token": token})
    after = table.act({"token": token, "incr": "f"})
    assert (answer["action"], after["action"], after["winnings"]) == ("", "f", -50)
    with pytest.raises(BadRequest, match="No hand in progress"):
        table.act({"token": token, "incr": "f"})


@pytest.fixture
def server():
    with Server(host(), "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server, method, path, body, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("POST", "/api/new_hand", "{", 400, "JSON object"),
        ("POST", "/api/new_hand", "[]", 400, "JSON object"),
        ("POST", "/api/new_hand", b"\xff\xfe", 400, "JSON object"),
        ("POST", "/api/new_hand", "[" * 4000, 400, "JSON object"),
        ("POST", "/api/new_hand", " " * (LARGEST_REQUEST + 1), 400, "up to 4096 bytes"),
        ("POST", "/api/act", '{"token": "x", "incr": "c"}', 200, "Unknown token"),
        ("POST", "/api/login", "{}", 200, "no accounts"),
        ("POST", "/api/elsewhere", "{}", 404, "No such endpoint"),
        ("POST", "/new_hand", "{}", 404, "No such endpoint"),
        ("GET", "/api/new_hand", None, 405, "POST"),
    ],
)
def test_errors_are_what_slumbot_calls_error_msg(server, method, path, body, status, reason, capfd):
    found, answer = ask(server, method, path, body)
    assert found == status and list(answer) == ["error_msg"] and reason in answer["error_msg"]
    assert capfd.readouterr().err == ""


def test_a_request_without_a_length(server):
    assert ask(server, "POST", "/api/new_hand", iter([b"{}"]), {"Transfer-Encoding": "chunked"})[0] == 400


def test_both_of_slumbots_paths_lead_here(server):
    for path in ("/api/new_hand", "/slumbot/api/new_hand"):
        assert ask(server, "POST", path, "{}")[1]["hole_cards"]


def test_many_clients_at_once(server):
    """On one connection each; all are told apart."""

    def session(_):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)

        def call(endpoint, request):
            connection.request("POST", f"/api/{endpoint}", json.dumps(request))
            return json.loads(connection.getresponse().read())

        table = type(
            "Table", (), {name: staticmethod(lambda r, name=name: call(name, r)) for name in ("new_hand", "act")}
        )
        answers = [play_hand(table)]
        for _ in range(9):
            answers.append(play_hand(table, answers[0]["token"]))
        connection.close()
        return answers

    with ThreadPoolExecutor(12) as pool:
        sessions = list(pool.map(session, range(12)))
    assert len({answers[0]["token"] for answers in sessions}) == 12
    for answers in sessions:
        assert [answer["session_num_hands"] for answer in answers] == list(range(1, 11))
        assert answers[-1]["session_total"] == sum(answer["winnings"] for answer in answers)


def test_a_port_that_is_taken(server):
    with pytest.raises(
        UserError, match=f"can't listen at 127.0.0.1:{server.server_port} .*give another --host or --port"
    ):
        Server(host(), "127.0.0.1", server.server_port)
