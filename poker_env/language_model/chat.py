"""How a tokenizer's chat template puts a question, and how answers to it begin and end in tokens.

Templates differ in more than their tags: some refuse or drop a system message, some take text in parts only, some
write a header or an empty thought between their prompt and an answer, some print the date. What holds for one is found
out by rendering a sample conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from poker_env.errors import UserError, first_line, note
from poker_env.forwarding.self_check import known_tokens
from poker_env.prompts import Messages
from poker_env.thoughts import opens_thought

Ids = tuple[int, ...]

RULES, QUESTION, TOKEN = "The rules are these.", "What do you do now?", "A0"
SAMPLE: Messages = [{"role": "system", "content": RULES}, {"role": "user", "content": QUESTION}]
CLOCK = "strftime_now"
"""What templates call for the date."""
MAY_THINK = ("enable_thinking", "thinking")
"""What templates ask whether a model is to think: Qwen's and most others', DeepSeek's and Granite's."""


@dataclass(frozen=True)
class _Form:
    """How a template wants its messages."""

    system: bool = True
    """With a message of the role `system`; else the rules come first in the user's."""
    parts: bool = False
    """With a list of parts for its content; else with a string."""

    def of(self, messages: Messages) -> list[dict[str, Any]]:
        if not self.system and messages[0]["role"] == "system":
            (rules, question), rest = messages[:2], messages[2:]
            messages = [{**question, "content": f"{rules['content']}\n\n{question['content']}"}, *rest]
        if not self.parts:
            return list(messages)
        return [{**said, "content": [{"type": "text", "text": said["content"]}]} for said in messages]


FORMS = (_Form(), _Form(system=False), _Form(parts=True), _Form(system=False, parts=True))


class Chat:
    """A tokenizer's chat template at work."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        template_kwargs: Mapping[str, Any],
        today: str,
        thinking: bool = False,
    ) -> None:
        """`template_kwargs` are the template's own; `today` (ISO) is the date it is told, be it one that asks.

        When `thinking`, what comes after the template's prompt is the model's own, its thought included; else any
        thought that the template begins is closed before the answer.
        Raises `UserError` when the template can't put a question, or an answer has no end.
        """
        self._tokenizer = tokenizer
        self._name = str(model.config.name_or_path or tokenizer.name_or_path)
        self._given = {**(dict.fromkeys(MAY_THINK, True) if thinking else {MAY_THINK[0]: False}), **template_kwargs}
        try:
            template = tokenizer.get_chat_template(self._given.pop("chat_template", None))
        except ValueError as error:  # several, none of which is the default
            raise UserError(f"{self._name} has no chat template of that name: {first_line(error)}") from error
        self._template = _dated(template, date.fromisoformat(today))
        self._form = self._form_taken()
        self._lead = ""
        """What comes before each answer, although the template's prompt for one doesn't have it."""
        opening = self._opening(SAMPLE)
        before, after = self._around_answer(opening)
        self._lead = before if before.strip() and not thinking else ""
        self._sample, self._blank = opening + self._lead, "" if self._lead else before
        self.end_ids: Ids = self._ends(after, model)
        """The tokens that end an answer, first the one that the template puts there."""
        unknown = [token for token in self._encode(self._sample) if token >= known_tokens(model)]
        if unknown:
            raise UserError(
                f"the chat template of {self._name} writes {tokenizer.decode(unknown[:1])!r}, for which the model has "
                "no weights: its tokenizer belongs to another model"
            )
        self.thought_opened = opens_thought(self._sample)
        """Whether an answer begins amid a thought."""
        if thinking:
            return
        if self.thought_opened:
            note(f"the chat template of {self._name} opens a thought: answers are read as if there were none")
        elif opens_thought(opening):
            note(f"the chat template of {self._name} opens a thought, which is closed at once: hero doesn't think")

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Token ids of chat messages, ready for the model's answer. Raises `UserError` when they can't be rendered."""
        try:
            return self._encode(self._opening(messages) + self._lead)
        except Exception as error:  # a template may raise anything
            raise UserError(f"the chat template of {self._name} can't put a question: {first_line(error)}") from error

    def spellings(self, token: str) -> tuple[Ids, ...]:
        """Token ids of an action token as an answer begins with it, first as the template's own answers do.

        Raises `UserError` when the tokenizer has none.
        """
        prompt = self._encode(self._sample)
        found: dict[Ids, None] = {}
        for blank in dict.fromkeys((self._blank, "")):
            whole = self._encode(self._sample + blank + token)
            if whole[: len(prompt)] == prompt:
                found[tuple(whole[len(prompt) :])] = None
        found[tuple(self._encode(token))] = None
        spelled = tuple(ids for ids in found if ids and str(self._tokenizer.decode(list(ids))).strip() == token)
        if not spelled:
            raise UserError(f"the tokenizer of {self._name} can't write {token}: choose a model with another one")
        return spelled

    def _form_taken(self) -> _Form:
        """The first form that the template takes and prints in full."""
        complaint = "it prints nothing of it"
        for form in FORMS:
            try:
                text = self._render(form.of(SAMPLE), add_generation_prompt=True)
            except Exception as error:  # a template may raise anything
                complaint = first_line(error)
                continue
            if RULES in text and QUESTION in text:
                return form
        raise UserError(
            f"the chat template of {self._name} can't put a question ({complaint}): choose an instruction-tuned "
            "model, or another template by chat_template_kwargs"
        )

    def _around_answer(self, opening: str) -> tuple[str, str]:
        """What a template writes between its prompt for an answer to the sample and the answer, and after that."""
        try:
            whole = self._render(self._form.of([*SAMPLE, {"role": "assistant", "content": TOKEN}]))
        except Exception:  # one that takes no answers
            return "", ""
        if not whole.startswith(opening):
            return "", whole.rpartition(TOKEN)[2]
        before, found, after = whole[len(opening) :].rpartition(TOKEN)
        return (before, after) if found else ("", "")

    def _ends(self, after: str, model: PreTrainedModel) -> Ids:
        tokenizer = self._tokenizer
        added = tokenizer.added_tokens_decoder.items()
        special = {*tokenizer.all_special_ids, *(token for token, content in added if content.special)}
        configured = model.generation_config.eos_token_id if model.generation_config else None
        others = configured if isinstance(configured, list) else [configured]
        own = next((token for token in self._encode(after) if token in special), None)
        ends = [token for token in (own, tokenizer.eos_token_id, *others) if token is not None]
        ends = [token for token in ends if token < known_tokens(model)]
        if not ends:
            raise UserError(f"the tokenizer of {self._name} has no token that ends an answer: set its eos_token")
        return tuple(dict.fromkeys(ends))

    def _opening(self, messages: Messages) -> str:
        return self._render(self._form.of(messages), add_generation_prompt=True)

    def _render(self, messages: Sequence[dict[str, Any]], add_generation_prompt: bool = False) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                list(messages),
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **self._given,
            )
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _dated(template: str, today: date) -> str:
    """A template with a clock of its own, if it asks for the time: it is always the start of that day."""
    if CLOCK not in template:
        return template
    told = "".join(
        f"|replace('%{letter}', '{today.strftime(f'%{letter}')}')" for letter in "AaBbCDdeFgGHIjklMmpRSTUuVWwXxYyz"
    )
    return (
        f"{{% macro {CLOCK}(format) %}}{{{{ format|replace('%-d', '{today.day}'){told} }}}}{{% endmacro %}}{template}"
    )
