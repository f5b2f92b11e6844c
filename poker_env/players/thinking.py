"""A language model that thinks before it answers, as a player."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from poker_env.errors import UserError
from poker_env.forwarding.generate import sample_long_completions
from poker_env.hand import Answer
from poker_env.players.asking import Advise, AskedModel, Ids, Question
from poker_env.players.poker_config import Answers, PokerConfig
from poker_env.prompts import with_budget
from poker_env.state import Observation
from poker_env.thoughts import Reading, read_thought

Generate = Callable[[Sequence[Ids], Sequence[int]], Sequence[Sequence[int]]]
"""Token ids of a completion for each of some prompts, sampled by a seed for each."""


class ThinkingPlayer(AskedModel):
    """Asks a language model, which thinks as long as its budget lasts, and reads its answer by `read_thought`.

    How probable each action of the menu is nobody knows: that would take all thoughts it might have. So it has no
    `policy`, and its answers are `free`. `Observation.coin_seed` drives the sampling.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: PokerConfig,
        name: str = "llm",
        advise: Advise | None = None,
        generate: Generate | None = None,
    ) -> None:
        """`generate` samples what it says; without, transformers does, each completion by its own seed."""
        super().__init__(model, tokenizer, config, name, advise)
        self._generate = generate or self._sample

    @property
    def answers(self) -> Answers:
        """How it answers."""
        return "free"

    @answers.setter
    def answers(self, answers: Answers) -> None:
        """Raises `UserError` for anything but `free`."""
        if answers != "free":
            raise UserError(
                f"answers {answers}: {self.name} thinks first, so that its menu's probabilities aren't known; leave "
                "them free"
            )

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation; `action` is None where it names no legal token, or the thought has no end."""
        questions = self.ask(observations)
        seeds = [observation.coin_seed for observation in observations]
        completions = self._generate([question.prompt_ids for question in questions], seeds)
        return [
            self._answer(question, tuple(completion))
            for question, completion in zip(questions, completions, strict=True)
        ]

    def token_of(self, prompt: str, tokens: Sequence[str], seed: int) -> str | None:
        """Which of some action tokens it answers a prompt of anybody's with; None where it names none."""
        assert self.config.think_words is not None
        asked = with_budget(prompt, self.config.think_words)
        ids = tuple(self.encode([{"role": "user", "content": asked}]))
        return self._read(self._generate([ids], [seed])[0], tokens).token

    def _answer(self, question: Question, completion: Ids) -> Answer:
        offers = {item.token: item.action for item in question.menu}
        read = self._read(completion, tuple(offers))
        return Answer(
            action=None if read.token is None else offers[read.token],
            prompt=question.text,
            completion=read.answer,
            prompt_ids=question.prompt_ids,
            completion_ids=completion,
            thought=read.thought,
            cut_off=read.cut_off,
        )

    def _read(self, completion: Sequence[int], tokens: Sequence[str]) -> Reading:
        """Special tokens may be tags: they are read, too, but for the one that ends the answer."""
        said = [token for token in completion if token not in self.end_ids]
        return read_thought(str(self.tokenizer.decode(said)), tokens, self._chat.thought_opened)

    def _sample(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[list[int]]:
        pad = self.tokenizer.pad_token_id
        return sample_long_completions(
            self.model,
            prompts,
            seeds,
            max_new_tokens=self.config.max_new_tokens,
            eos_ids=self.end_ids,
            pad_id=self.end_ids[0] if pad is None else int(pad),
            temperature=self.config.temperature,
        )
