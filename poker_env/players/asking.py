"""What all players have that are language models: how a model is asked for a decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from poker_env.language_model.chat import Chat
from poker_env.menu import MenuItem, make_menu
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import Advice, Messages, build_messages
from poker_env.state import Observation

Ids = tuple[int, ...]
"""Of tokens."""


@dataclass(frozen=True)
class Question:
    """A decision as a model is asked it."""

    menu: tuple[MenuItem, ...]
    text: str
    """The prompt, as people read it."""
    prompt_ids: Ids
    """The prompt's token ids, ready for the model's answer."""


Advise = Callable[[Observation, Sequence[MenuItem]], Advice]
"""What hero is told at an observation with that menu: an `Advisor.advise`."""


class AskedModel:
    """A language model that can be put the question of a decision."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: PokerConfig,
        name: str,
        advise: Advise | None,
    ) -> None:
        """`advise` is what gives the advice that `config` may want in the prompts."""
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.name = name
        self.sha256: str | None = None
        """Of the adapter's weights, None without one."""
        self.advise = advise
        self._chat = Chat(tokenizer, model, config.chat_template_kwargs, config.date, config.thinking)

    def ask(self, observations: Sequence[Observation]) -> list[Question]:
        """What the model is asked at each observation. Raises `ValueError` without the advice that belongs to it."""
        menus = [make_menu(observation, self.config.fractions) for observation in observations]
        advice: list[Advice | None] = [None] * len(menus)
        if self.config.advisor is not None:
            if self.advise is None:
                raise ValueError(f"{self.name} is asked with advice about {self.config.advisor}, and has none")
            given = map(self.advise, observations, menus)
            advice = [whole.only(self.config.advice) for whole in given]
        messages = [
            build_messages(observation, menu, self.config.style, own, self.config.think_words)
            for observation, menu, own in zip(observations, menus, advice, strict=True)
        ]
        texts = ["\n".join(message["content"] for message in prompt) for prompt in messages]
        ids_of = {text: tuple(self.encode(prompt)) for text, prompt in dict(zip(texts, messages, strict=True)).items()}
        return [Question(menu, text, ids_of[text]) for menu, text in zip(menus, texts, strict=True)]

    def encode(self, messages: Messages) -> list[int]:
        """Token ids of chat messages, ready for the model's answer."""
        return self._chat.prompt_ids(messages)

    @property
    def end_ids(self) -> Ids:
        """The tokens that end an answer, first the one that the chat template puts there."""
        return self._chat.end_ids
