"""A hero who answers by what it is told and nothing else, at a table of ours and behind anybody's chat messages."""

import zlib

from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.prompts import build_messages, offered_tokens, parse_answer


def scripted_answer(told: str) -> str:
    """A legal token in some words, or, one time in eight, words without any."""
    draw = zlib.crc32(told.encode())
    tokens = offered_tokens(told)
    return "I don't know." if draw % 8 == 0 else f"I'd say {tokens[draw // 8 % len(tokens)]}!"


class ScriptedHero:
    """The same as a player."""

    name = "scripted"

    def __init__(self, style="compact"):
        self.style = style

    def act(self, observations):
        return [self._answer(observation) for observation in observations]

    def _answer(self, observation):
        menu = make_menu(observation)
        item = parse_answer(scripted_answer(build_messages(observation, menu, self.style)[-1]["content"]), menu)
        return Answer(None if item is None else item.action)
