"""How the answer of a model that thinks first is read: what is its thought, what it says after it, which action."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

TOKEN = re.compile(r"(?<![A-Za-z0-9])A\d+(?![A-Za-z0-9])")
"""An action token in free text."""

MARKER = re.compile(
    r"""
      (?P<opens>  < \s* (?:seed:)? (?:think|thinking|thoughts?|reasoning) (?:\s[^<>]*)? (?<!/) >
                | \[ THINK \]  |  ◁ think ▷  |  <\|START_THINKING\|>
                | <\|channel> (?:\s*thought)?                                  # Gemma 4
                | <\|channel\|> \s* (?:analysis|commentary) (?:[^<]*<\|message\|>)? )
    | (?P<closes> < \s* / \s* (?:seed:)? (?:think|thinking|thoughts?|reasoning) (?:\s[^<>]*)? >
                | \[ /THINK \]  |  ◁ /think ▷  |  <\|END_THINKING\|>  |  <channel\|> )
    | (?P<ends>   (?:<\|end\|> \s* <\|start\|> [^<]*)? <\|channel\|> \s* final (?:[^<]*<\|message\|>)? )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Where a thought begins or ends, in all of these spellings: `<think>` (Qwen, DeepSeek, GLM and most others, with
attributes, too; `<think/>` is empty and none), `<seed:think>` (Seed-OSS), `[THINK]` (Magistral), `◁think▷` (Kimi),
`<|START_THINKING|>` (Cohere), `<|channel>thought` and `<channel|>` (Gemma 4). gpt-oss thinks on the channels
`analysis` and `commentary`, any number of times, until the channel `final` ends all of it."""

CARDS = re.compile(
    r"""
      [^\S\n]? [♠♥♦♣♤♡♢♧]  |  \+
    | (?:[^\S\n]|[(\-‐-―])*
      (?:(?:un)?suited | off(?:[\s\-‐-―]?suit(?:ed)?)? | of\s+(?:spades|hearts|diamonds|clubs)) \b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What follows `A5` where it is a hand or a card and no action: `A5 suited`, `A5-offsuit`, `A5+`, `A5 of hearts`; on
the same line."""


@dataclass(frozen=True)
class Reading:
    """What a text says."""

    thought: str
    """What comes before the answer, without the tag it begins with; "" where there is nothing."""
    answer: str
    """What comes after the thought; "" where that was cut off."""
    token: str | None
    """The action token that is taken; None where the answer names none."""
    cut_off: bool
    """Whether a thought was begun and never ended."""


def read_thought(text: str, tokens: Collection[str], opened: bool = False) -> Reading:
    """What a model that thinks first said, and which of some action tokens it chose.

    Thoughts may be nested, and tags of all kinds (`MARKER`) are alike: a thought ends where as many were closed as
    opened. A tag that closes what nobody opened ends a thought that began with the text. The answer is what follows
    the last thought's end; of a text without tags it is all of it. Where a thought is still open at the end of the
    text, there is no answer. `opened` says that the prompt has begun a thought already; where the text begins with a
    tag, too, it is the same thought's.

    The action is the last one of `tokens` in the answer: not part of a longer word, as in `A5s` or `As5d`, and no hand
    or card, as in `A5 suited` (`CARDS`). What stands in a thought never counts.
    """
    depth, thought_to, answer_from = int(opened and not _leading_tag(text)), 0, 0
    for marker in MARKER.finditer(text):
        if marker["opens"]:
            depth += 1
            continue
        depth = 0 if marker["ends"] else max(0, depth - 1)
        if depth == 0:
            thought_to, answer_from = marker.span()
    if depth:
        return Reading(_without_tag(text), "", None, True)
    answer = text[answer_from:].strip()
    named = [
        found.group()
        for found in TOKEN.finditer(answer)
        if found.group() in tokens and not CARDS.match(answer, found.end())
    ]
    return Reading(_without_tag(text[:thought_to]), answer, named[-1] if named else None, False)


def opens_thought(prompt: str) -> bool:
    """Whether a prompt ends with the beginning of a thought, so that its answer begins amid it."""
    *_, last = (None, *MARKER.finditer(prompt))
    return last is not None and bool(last["opens"]) and not prompt[last.end() :].strip()


def _leading_tag(text: str) -> str:
    """The tag that a text begins a thought with, and the space before it; "" where it doesn't."""
    first = MARKER.match(text, len(text) - len(text.lstrip()))
    return text[: first.end()] if first and first["opens"] else ""


def _without_tag(thought: str) -> str:
    """A thought without the tag that it may begin with."""
    return thought[len(_leading_tag(thought)) :].strip()
