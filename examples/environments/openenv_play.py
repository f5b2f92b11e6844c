"""Play hands of poker over OpenEnv's protocol: a server of ours, and a client that bets and calls with everything.

    python examples/environments/openenv_play.py --hands 200
    python examples/environments/openenv_play.py --url http://127.0.0.1:8000

Without a URL it starts a server of its own; `python -m poker_environments.openenv` starts one that stays.
"""

import argparse
import statistics
import threading
import time

import uvicorn

from poker_environments.episode import make_table
from poker_environments.openenv import PokerAction, PokerClient, make_app


def serve(game: str, villain: str) -> str:
    """Start a server in this process; its URL."""
    app = make_app(make_table(game, villain))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def main() -> None:
    """Play, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="of a server (default: one of its own)")
    parser.add_argument("--hands", type=int, default=200)
    parser.add_argument("--game", default="kuhn")
    parser.add_argument("--villain", default="cfr:weak")
    given = parser.parse_args()
    if given.hands < 2:
        parser.error(f"--hands {given.hands}: two at least, or there is no interval")
    won = []
    with PokerClient(given.url or serve(given.game, given.villain)).sync() as table:
        for index in range(given.hands):
            result = table.reset(index=index)
            while not result.done:
                if index == 0:
                    print(*(message["content"] for message in result.observation.messages), sep="\n", end="\n\n")
                result = table.step(PokerAction(answer=result.observation.tokens[1]))
            won.append(result.observation.payoff)
    margin = 1.96 * statistics.stdev(won) / len(won) ** 0.5
    print(f"{statistics.mean(won):+.2f} ± {margin:.2f} chips a hand (95 %, {len(won)} hands)")


if __name__ == "__main__":
    main()
