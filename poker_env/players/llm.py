"""A language model as a player, and the agent that answers a single prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from poker_env.errors import UserError
from poker_env.forwarding.generate import sample_completions
from poker_env.forwarding.score import Scores, Spelled, score
from poker_env.games import Game
from poker_env.hand import Answer
from poker_env.language_model.adapter import WEIGHTS, adapter_sha256, put_on
from poker_env.language_model.base_weights import tell_other_weights
from poker_env.language_model.loading import load_shared, load_tokenizer
from poker_env.players.asking import Advise, AskedModel, Ids, Question
from poker_env.players.hub import trained_folder
from poker_env.players.poker_config import FILE_NAME, Answers, PokerConfig
from poker_env.players.thinking import ThinkingPlayer
from poker_env.prompts import offered_tokens, parse_answer
from poker_env.state import Observation
from poker_env.thoughts import TOKEN


class LLMPlayer(AskedModel):
    """Asks a language model for one action token per decision, a whole batch at once.

    `Observation.coin_seed` drives the sampling, so the same deal, history and replica give the same answer.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: PokerConfig,
        name: str = "llm",
        batch_size: int | None = None,
        answers: Answers = "free",
        advise: Advise | None = None,
    ) -> None:
        """`answers` are `free` text; or `scored`, which say beside it how probable each action of the menu was; or
        drawn from those probabilities alone, `menu`: whatever says more or less than an action's token is then an
        answer that names no action, and isn't spelled out. `advise` is as in `AskedModel`.

        Probabilities are remembered by prompt: when the model's weights have changed, make the player anew.
        """
        super().__init__(model, tokenizer, config, name, advise)
        self.answers = answers
        self._remembered: dict[tuple[int, ...], Scores] = {}
        self._batch_size = batch_size or (512 if model.device.type == "cuda" else 64)
        self._spellings: dict[str, tuple[Ids, ...]] = {}

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation; `action` is None where the model named no legal token."""
        questions = self.ask(observations)
        seeds = [observation.coin_seed for observation in observations]
        if self.answers == "menu":
            return list(map(self._draw, questions, self._score(questions), seeds))
        prompts = [question.prompt_ids for question in questions]
        completions = self.complete(prompts, [[item.token for item in question.menu] for question in questions], seeds)
        answers = list(map(self._answer, questions, completions))
        if self.answers == "free":
            return answers
        return [
            _with_scores(answer, question, scores, scores.place(answer.completion_ids))
            for answer, question, scores in zip(answers, questions, self._score(questions), strict=True)
        ]

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action on its menu, by OpenSpiel's id.

        It is the probability that the answer begins with the action's token, spelled as the tokenizer spells it, and
        that the token ends there, at the sampling temperature. `act` takes the action at least that often: it also
        reads tokens that come later in the answer, or in another spelling. A model trained to answer with a token does
        none of that, so there the two agree. What lacks to a sum of 1 is to be counted as answers without a legal
        token, which end the hand as a fold. With the answers `menu` it is exactly what `act` draws from.
        """
        questions = self.ask(observations)
        chances = [scores.whole if self.answers == "menu" else scores.begun for scores in self._score(questions)]
        return [
            dict(zip((item.action for item in question.menu), own, strict=True))
            for question, own in zip(questions, chances, strict=True)
        ]

    def spellings(self, token: str) -> tuple[Ids, ...]:
        """Token ids of an action token at the start of an answer, first as the chat template's own answers have it."""
        if token not in self._spellings:
            self._spellings[token] = self._chat.spellings(token)
        return self._spellings[token]

    def answer_ids(self, token: str) -> Ids:
        """Token ids of an answer that is an action token and nothing else, as the chat template would write it."""
        return (*self.spellings(token)[0], self.end_ids[0])

    def answers_to(self, prompt_ids: Ids) -> tuple[tuple[Spelled, ...], ...]:
        """For each action on the menu of a prompt that it was asked: all answers that are its token.

        Known of a player whose `answers` aren't `free`.
        """
        return self._remembered[prompt_ids].answers

    def complete(
        self, prompts: Sequence[Sequence[int]], tokens: Sequence[Sequence[str]], seeds: Sequence[int]
    ) -> list[list[int]]:
        """Sampled token ids, each up to its first legal action token (of `tokens`, per prompt) or its own end."""

        def answered(row: int, completion: list[int]) -> bool:
            text = str(self.tokenizer.decode(completion))
            # A token at the very end may still grow: A1 into A10.
            return any(match.group() in tokens[row] and match.end() < len(text) for match in TOKEN.finditer(text))

        return sample_completions(
            self.model,
            prompts,
            seeds,
            max_new_tokens=self.config.max_new_tokens,
            eos_ids=self.end_ids,
            answered=answered,
            temperature=self.config.temperature,
            batch_size=self._batch_size,
        )

    def token_of(self, prompt: str, tokens: Sequence[str], seed: int) -> str | None:
        """Which of some action tokens it answers a prompt of anybody's with; None where it names none."""
        ids = self.encode([{"role": "user", "content": prompt}])
        completion = self.complete([ids], [tokens], [seed])[0]
        text = str(self.tokenizer.decode(completion, skip_special_tokens=True))
        return next((match.group() for match in TOKEN.finditer(text) if match.group() in tokens), None)

    def _draw(self, question: Question, scores: Scores, seed: int) -> Answer:
        """An answer of the menu, or one that names no action."""
        answers = [(place, answer) for place, own in enumerate(scores.answers) for answer in own]
        chances = np.cumsum([answer.probability for _, answer in answers])
        drawn = int(np.searchsorted(chances, np.random.default_rng(seed).random(), side="right"))
        place, ids = (answers[drawn][0], answers[drawn][1].ids) if drawn < len(answers) else (None, ())
        return _with_scores(self._answer(question, ids), question, scores, place)

    def _score(self, questions: Sequence[Question]) -> list[Scores]:
        """How probable each token of each question's menu is."""
        known = self._remembered if self.answers != "free" else {}
        new = {question.prompt_ids: question for question in questions if question.prompt_ids not in known}
        found = score(
            self.model,
            list(new),
            [[self.spellings(item.token) for item in question.menu] for question in new.values()],
            may_follow=self._ends_a_token,
            end_ids=self.end_ids,
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            batch_size=self._batch_size,
        )
        known |= dict(zip(new, found, strict=True))
        return [known[question.prompt_ids] for question in questions]

    @cached_property
    def _ends_a_token(self) -> torch.Tensor:
        """(tokens,) bool: what may follow an action token without making it another word, as A1 into A10."""
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        return torch.tensor([piece is not None and re.match("[A-Za-z0-9]", piece) is None for piece in pieces])

    def _answer(self, question: Question, completion: Sequence[int]) -> Answer:
        text = str(self.tokenizer.decode(list(completion), skip_special_tokens=True))
        item = parse_answer(text, question.menu)
        return Answer(
            action=item.action if item else None,
            prompt=question.text,
            completion=text,
            prompt_ids=question.prompt_ids,
            completion_ids=tuple(completion),
        )


def _with_scores(answer: Answer, question: Question, scores: Scores, place: int | None) -> Answer:
    menu = tuple(item.action for item in question.menu)
    return replace(answer, menu=menu, probabilities=scores.whole, place=place)


ModelPlayer = LLMPlayer | ThinkingPlayer


def model_player(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: PokerConfig,
    name: str = "llm",
    answers: Answers = "free",
    advise: Advise | None = None,
) -> ModelPlayer:
    """The player that a language model is, as its `config` says: one that thinks first has free answers alone."""
    if config.thinking:
        return ThinkingPlayer(model, tokenizer, config, name, advise)
    return LLMPlayer(model, tokenizer, config, name, answers=answers, advise=advise)


def load_llm_player(path: str, game: Game) -> ModelPlayer:
    """The player of an adapter (with its `poker_config.json`) or of an untrained model, by path or Hub id.

    Prompts with advice take an `advise` beside it, see `player_specs.make_llm_player`.
    Raises `UserError` when there are no weights, or the adapter was trained on another game.
    """
    folder = trained_folder(path)
    if folder.is_dir() and (folder / FILE_NAME).exists():
        config = PokerConfig.load(folder)
        if config.game.name != game.name:
            raise UserError(f"adapter {path} was trained on {config.game}, not on {game}: use --game {config.game}")
        config, name = replace(config, game=game), f"llm:{path}"
        if (folder / "config.json").exists():  # of a whole model, which the adapter was merged into
            model = load_shared(str(folder), init_kwargs=_without_revision(config))
            return model_player(model, load_tokenizer(str(folder)), config, name)
        return _load_adapter(folder, config, name)
    if folder.is_dir() and (folder / WEIGHTS).exists():
        raise UserError(f"adapter {path} has no {FILE_NAME}: it was not trained with this project")
    config = PokerConfig(game=game, base_model=path)
    return model_player(load_shared(path), load_tokenizer(path), config, f"llm:{path}")


def _load_adapter(folder: Path, config: PokerConfig, name: str) -> ModelPlayer:
    if not (folder / WEIGHTS).exists():
        raise UserError(f"adapter {folder} has no weights: {WEIGHTS} is missing")
    model = put_on(load_shared(config.base_model, init_kwargs=config.model_init_kwargs), folder).eval()
    tell_other_weights(config.base_model, config.base_sha256, name)
    tokenizer = load_tokenizer(config.base_model, revision=config.model_init_kwargs.get("revision"))
    player = model_player(model, tokenizer, config, name)
    player.sha256 = adapter_sha256(folder)
    return player


def _without_revision(config: PokerConfig) -> dict[str, Any]:
    """What the base model was loaded with, for a whole model that is in a folder of its own."""
    return {name: value for name, value in config.model_init_kwargs.items() if name != "revision"}


class PokerLLMAgent:
    """Answers prompts, one at a time: `PokerLLMAgent.load("runs/quickstart/final").get_action_token(prompt)`."""

    def __init__(self, player: ModelPlayer) -> None:
        self.player = player
        self._asked = 0

    @staticmethod
    def load(path: str) -> PokerLLMAgent:
        """The agent of an adapter, by its folder or Hub id. Raises `UserError` when it is none."""
        folder = trained_folder(path)
        if not (folder / FILE_NAME).exists():
            raise UserError(f"{path} is not a trained adapter: it has no {FILE_NAME}")
        return PokerLLMAgent(load_llm_player(path, PokerConfig.load(folder).game))

    def get_action_token(self, prompt: str, seed: int | None = None) -> str:
        """The model's action token for a prompt that lists its legal ones, as `- A0: Check (no chips added).`

        The answer is sampled: with the same `seed` it is the same, without one each call draws anew. A model that
        thinks first does so here, too. When the answer names no legal token, the first one listed is returned (fold,
        or check where that is free). Raises `UserError` when the prompt lists none.
        """
        tokens = offered_tokens(prompt)
        if not tokens:
            raise UserError("the prompt lists no action tokens such as '- A0: Check (no chips added).'")
        if seed is None:
            seed, self._asked = self._asked, self._asked + 1
        return self.player.token_of(prompt, tokens, seed) or tokens[0]
