"""`serve.py`: our own client against our own server, and a client as others write theirs."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest

from poker_env.errors import UserError
from poker_env.games import DEFAULTS
from poker_env.hand import read_hands
from poker_env.player_specs import make_player
from poker_env.services.host import Host
from poker_env.services.server import Server
from recipes import evaluate, serve

GAME = DEFAULTS["holdem"]


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_hands_of_our_client_are_those_of_our_server(count, monkeypatch, tmp_path):
    served = []
    with Server(Host(GAME, make_player("random", GAME), 1, served.append), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        monkeypatch.setenv("SLUMBOT_URL", server.url)
        match = ["--hero", "random", "--villain", "slumbot", "--hands", str(count), "--tables", "4"]
        evaluate.main([*match, "--output", str(tmp_path)])
        server.shutdown()
    record = json.loads((tmp_path / "results.json").read_text())
    hands = list(read_hands(tmp_path / "hands.jsonl"))
    assert record["service"] == {"url": server.url, "voided": 0, "disagreements": 0} and len(hands) == count

    def told(hand):
        return hand.hole, hand.board, hand.hero_seat, hand.payoff, [decision.move for decision in hand.decisions]

    assert sorted(map(told, hands), key=repr) == sorted(map(told, served), key=repr)


class SampleClient:
    """As small as can be, in the manner of slumbot.com's sample_api.py: reads the string of actions by itself."""

    def __init__(self, url):
        self.url, self.token = url, None

    def ask(self, endpoint, **body):
        request = urllib.request.Request(
            f"{self.url}/api/{endpoint}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.loads(answer.read())
        assert "error_msg" not in found, found
        self.token = found.get("token") or self.token
        return found

    def play(self):
        answer = self.ask("new_hand", **({"token": self.token} if self.token else {}))
        while answer.get("winnings") is None:
            facing_bet = self.last_bet(answer["action"]) > 0
            answer = self.ask("act", token=self.token, incr="c" if facing_bet else "k")
        return answer

    @staticmethod
    def last_bet(action):
        """Chips to call, as the street's last bets say."""
        *streets, last = action.split("/")
        bets, player = ([50, 100] if not streets else [0, 0]), 0
        for token in re.findall(r"[kc]|b\d+", last):
            if token[0] == "b":
                bets[player] = int(token[1:])
            elif token == "c":
                bets[player] = max(bets)
            player = 1 - player
        return max(bets) - bets[player]


def test_the_command_serves_a_client_that_others_wrote(tmp_path):
    hands_file = tmp_path / "new" / "served.jsonl"
    command = [sys.executable, "-u", serve.__file__, "--player", "lag", "--port", "0", "--seed", "5"]
    sessions = []
    for _ in range(2):
        process = subprocess.Popen(
            [*command, "--hands-file", str(hands_file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        client = SampleClient(url)
        sessions.append([client.play() for _ in range(15)])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (130, "interrupted\n")
    without_token = [[{**answer, "token": ""} for answer in answers] for answers in sessions]
    assert without_token[0] == without_token[1], "the same seed deals the same cards"
    assert [answer["client_pos"] for answer in sessions[0][:4]] == [0, 1, 0, 1]
    kept = list(read_hands(hands_file))
    assert [hand.payoff for hand in kept] == [answer["winnings"] for answers in sessions for answer in answers]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--player", "nobody"], "unknown player 'nobody'"),
        (["--player", "slumbot"], "player 'slumbot' deals its own hands"),
        (["--player", "tag", "--seed", "-1"], "--seed -1 must be 0 or above"),
        (["--player", "tag", "--port", "70000"], "--port 70000 is none"),
        (["--player", "tag", "--host", "192.0.2.1"], r"can't listen at 192\.0\.2\.1:8080"),
        (["--player", "tag", "--hands-file", "/dev/null/hands.jsonl"], "can't write /dev/null/hands.jsonl"),
        ([], "--player"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, reason):
    with pytest.raises(UserError, match=reason) as error:
        serve.main(arguments)
    assert "\n" not in str(error.value)
