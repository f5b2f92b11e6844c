"""How the answers of models that think first are read: what is thought, what is said, and which action that is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.thoughts import MARKER, TOKEN, opens_thought, read_thought

MENU = ("A0", "A1", "A2", "A5")


@pytest.mark.parametrize(
    ("text", "token", "cut_off"),
    [
        ("A1", "A1", False),
        ("I would call with A1, but A2 is better.", "A2", False),
        ("A1 or A9", "A1", False),  # not on the menu
        ("", None, False),
        ("I fold.", None, False),
        ("<think>A0 loses.</think>A1", "A1", False),
        ("<think></think>\n\nA2", "A2", False),
        ("A0 loses.</think>A1", "A1", False),  # the prompt had the first tag, or nobody wrote it
        ("<think>A0 <think>A1</think> A2</think> A5", "A5", False),
        ("<think>A0 <think>A1</think> A2", None, True),
        ("<think>A0, A1, A2 ...", None, True),
        ("A1 <think>wait, A2", None, True),
        ("<think>a</think> A1 <think>b</think> A2", "A2", False),
        ("<think>A1</think>", None, False),
        ("<THINK>A0</Think>A1", "A1", False),
        ('<think time="3" mode=deep>A0</think >A1', "A1", False),
        ("<THINK>A0</THINK reason='done'>A1", "A1", False),
        ("<THINK>A0, A1", None, True),
        ("<think/>A1", "A1", False),  # empty, and no thought
        ("<think />A1", "A1", False),
        ("A0</think>A2</think>A1", "A1", False),
        (" \n\t", None, False),
        ("A10, A1.", "A1", False),
        ("(A1) or `A2`", "A2", False),
        ('```json\n{"action": "A1"}\n```', "A1", False),
        ("A\u0661 A\uff11", None, False),  # digits of other scripts
        ("\u202eA1\u202c\x00", "A1", False),
        ("A1\n\nSuited connectors would fold.", "A1", False),  # another line
        ("A1\r\nOffsuit I'd fold.", "A1", False),
        ("A1\n♠ 5 is weak", "A1", False),
        ("<thinking>A0</thinking>A1", "A1", False),
        ("<thought>A0</thought>A1", "A1", False),
        ("<reasoning>A0</reasoning>A1", "A1", False),
        ("<seed:think>A0</seed:think>A1", "A1", False),
        ("[THINK]A0[/THINK]A1", "A1", False),
        ("◁think▷A0◁/think▷A1", "A1", False),
        ("<|START_THINKING|>A0<|END_THINKING|><|START_RESPONSE|>A1<|END_RESPONSE|>", "A1", False),
        ("<|channel>thought\nA0<channel|>A1", "A1", False),
        ("<|channel>thought\nA0", None, True),
        ("<|channel|>analysis<|message|>A0<|end|><|start|>assistant<|channel|>final<|message|>A1", "A1", False),
        (
            "<|channel|>analysis<|message|>A0<|end|><|start|>assistant<|channel|>commentary<|message|>A2<|end|>"
            "<|start|>assistant<|channel|>final<|message|>A1",
            "A1",
            False,
        ),
        ("<|channel|>analysis<|message|>A0<|end|><|start|>assistant", None, True),
        ("<think>我有 A5，但是 A0 不好。</think>我选择A1。", "A1", False),
        ("<think>Ich halte A5.</think>Ich wähle A2!", "A2", False),
        ("<answer>A1</answer>", "A1", False),
        (r"\boxed{A1} **A2**.", "A2", False),
    ],
)
def test_the_last_legal_token_after_the_thought(text, token, cut_off):
    read = read_thought(text, MENU)
    assert (read.token, read.cut_off) == (token, cut_off)


@pytest.mark.parametrize(
    "hand",
    [
        *("A5s", "A5o", "As5d", "A5 suited", "A5-suited", "A5 (suited)", "A5 offsuit", "A5 off-suit", "A5 Off Suit"),
        *("A5–suited", "A5\u2011suited", "A5 — off‑suit", "A5\u00a0suited"),
        *("A5 unsuited", "A5+", "A5 of hearts", "A5♠", "A5 ♥", "KA5", "A55"),
    ],
)
def test_a_hand_or_a_card_is_no_action(hand):
    assert read_thought(f"A1, as I have {hand}.", MENU).token == "A1"
    assert read_thought(f"I have {hand}, so A5", MENU).token == "A5"


@pytest.mark.parametrize("ending", ["", ".", ",", " (call)", " of course", "!", " officially", "-"])
def test_an_action_may_be_followed_by_other_words(ending):
    assert read_thought(f"I choose A5{ending}", MENU).token == "A5"


def test_a_thought_that_the_prompt_began():
    assert read_thought("A0 is bad, A1", MENU, opened=True).cut_off
    read = read_thought(" A0 is bad.\n</think>\n\nA1", MENU, opened=True)
    assert (read.thought, read.answer, read.token) == ("A0 is bad.", "A1", "A1")
    again = read_thought("\n<think>A0 is bad.</think>A1", MENU, opened=True)  # and the model begins it, too
    assert (again.thought, again.token) == ("A0 is bad.", "A1")
    assert read_thought("<think>A0 is bad, A1", MENU, opened=True).cut_off
    assert read_thought("A0 <think>A0</think> A1", MENU, opened=True).cut_off


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<｜Assistant｜><think>", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("First think: [THINK]your thoughts[/THINK]. What now?[/INST]", False),
        ("<|turn>model\n<|channel>thought\n", True),
        ("<|turn>model\n<|channel>thought\n<channel|>", False),
        ("Write <think> first.<|im_start|>assistant\n", False),
        ("", False),
    ],
)
def test_whether_a_prompt_begins_a_thought(prompt, opens):
    assert opens_thought(prompt) is opens


PIECES = [
    *("<think>", "</think>", "<THINK>", "</Think >", '<think a="b">', "<thinking>", "</thinking>", "<think", "think>"),
    *(
        "[THINK]",
        "[/THINK]",
        "◁think▷",
        "◁/think▷",
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "<|channel>",
        "<channel|>",
    ),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|channel|>final", "<|end|>", "<|message|>"),
    *(
        "A0",
        "A1",
        "A2",
        "A5",
        "A9",
        "A10",
        "A5s",
        "As5d",
        "A5 suited",
        "A5 of spades",
        "A5♠",
        "+",
        " ",
        "\n",
        "suited",
    ),
    *(
        "I fold",
        "我选择",
        "Ä",
        "\x00",
        "\u2028",
        "\ud83c\udca1".encode("utf-16", "surrogatepass").decode("utf-16"),
        "<",
        ">",
    ),
]


def check(text, opened):
    """What holds of any text."""
    read = read_thought(text, MENU, opened)
    assert read == read_thought(text, MENU, opened)
    assert read.token is None or (read.token in MENU and read.token in read.answer)
    assert read.answer in text
    assert not MARKER.search(read.answer)
    if read.cut_off:
        assert (read.answer, read.token) == ("", None)
        assert opened or any(marker["opens"] for marker in MARKER.finditer(text))
    else:
        again = read_thought(read.answer, MENU)
        assert (again.answer, again.token, again.thought) == (read.answer, read.token, "")
        # What a thought says never counts.
        moved = read_thought(f"<think>{TOKEN.sub('A1', read.thought)} A1</think>{read.answer}", MENU)
        if not MARKER.search(read.thought):
            assert (moved.token, moved.answer) == (read.token, read.answer)
    if not opened and not MARKER.search(text):
        assert (read.answer, read.thought) == (text.strip(), "")
    hidden = read_thought(f"<think>{text}", MENU, opened)
    if not MARKER.search(f"<think>{text}", 7):
        assert hidden.cut_off


@settings(max_examples=500, deadline=None)
@given(
    text=st.one_of(st.text(), st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join)),
    opened=st.booleans(),
)
def test_any_text_can_be_read(text, opened):
    check(text, opened)


def made_up(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(rng.choices(PIECES, k=rng.randrange(14))), rng.random() < 0.3


def test_two_thousand_texts_of_pieces():
    for text, opened in made_up(2_000, 1):
        check(text, opened)


@pytest.mark.slow
def test_a_hundred_thousand_texts_of_pieces():
    for text, opened in made_up(100_000, 2):
        check(text, opened)


@pytest.mark.parametrize(
    "piece", ["<think", "< ", "<|channel|>analysis", "A5 ", "A5((((", "<think>", "<think " + "a " * 50]
)
def test_long_texts_take_no_longer_than_they_are(piece):
    """A pattern that goes back over what it has read would not come to an end here."""
    assert read_thought(piece * 20_000 + "</think>", MENU).token is None
