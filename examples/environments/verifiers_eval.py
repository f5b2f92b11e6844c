"""Evaluate a model on hands of poker with verifiers: any server of OpenAI's chat completions.

    python examples/environments/verifiers_eval.py --hands 100
    python examples/environments/verifiers_eval.py --url http://127.0.0.1:8000/v1 --model Qwen/Qwen3-0.6B

Without a URL it asks a stand-in on this machine that takes each action as often as any other. `vf-eval
exploitative-poker`, which docs/environments.md shows, is the same from the command line.
"""

import argparse
import asyncio
import json
import random
import statistics
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import verifiers.v1 as vf

from poker_env.prompts import offered_tokens


class StandIn(BaseHTTPRequestHandler):
    """A model that answers at random."""

    draw = random.Random(0)

    def do_POST(self) -> None:
        """Answer a request for a chat completion."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self.draw.choice(offered_tokens(asked["messages"][-1]["content"]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        answer = {"id": "0", "object": "chat.completion", "created": 0, "model": asked["model"], "choices": [choice]}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


async def evaluate(url: str, model: str, hands: int, game: str, villain: str) -> list[vf.Trace]:
    """A trace for each of so many hands."""
    taskset = {"id": "exploitative-poker", "game": game, "villain": villain}
    env = vf.load_environment(vf.resolve_env_config({"taskset": taskset}))
    client = vf.EvalClientConfig(base_url=url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(client=client, model=model, sampling=vf.SamplingConfig())
    limit = asyncio.Semaphore(16)
    async with env.serving():
        slots = [slot for task in env.taskset.take(hands) for slot in env.slots(task)]
        episodes = await asyncio.gather(*(env.run_slot(slot, context, limit) for slot in slots))
    return [trace for episode in episodes for trace in episode.traces if trace.ok]


def main() -> None:
    """Evaluate, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="of the model's server (default: a stand-in, at random)")
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--hands", type=int, default=100)
    parser.add_argument("--game", default="kuhn")
    parser.add_argument("--villain", default="cfr:weak")
    given = parser.parse_args()
    if given.hands < 2:
        parser.error(f"--hands {given.hands}: two at least, or there is no interval")
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = given.url or f"http://127.0.0.1:{server.server_port}/v1"
    traces = asyncio.run(evaluate(url, given.model, given.hands, given.game, given.villain))
    if len(traces) < given.hands:
        parser.exit(1, f"{given.hands - len(traces)} of {given.hands} hands failed: is there a model at {url}?\n")
    won = [1000 * trace.metrics["payoff_bb"] for trace in traces]
    margin = 1.96 * statistics.stdev(won) / len(won) ** 0.5
    legal = 1 - statistics.mean(trace.metrics["illegal"] for trace in traces)
    print(f"{statistics.mean(won):+.0f} ± {margin:.0f} mbb/hand (95 %, {len(won)} hands), {legal:.1%} legal")


if __name__ == "__main__":
    main()
