"""Advice: by brute force over every deck and holding, from what hero may know alone, and told by language models."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS, hand_value
from poker_env.errors import UserError
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import results
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.knowledge import advisor as advisor_module
from poker_env.knowledge.advisor import Advisor, Follower
from poker_env.knowledge.beliefs import all_decks
from poker_env.knowledge.exact_value import ExactJudge, exact_policy, information_sets
from poker_env.knowledge.ranges import range_policy_of
from poker_env.knowledge.small_games import tabular_ranges
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import make_menu
from poker_env.player_specs import advice_for, load_advisor, make_llm_player, make_player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import FILE_NAME, PokerConfig
from poker_env.prompts import STYLES, build_messages
from poker_env.state import CALL, FOLD, HandState

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")
GAMES = [KUHN, LEDUC, HOLDEM]


@pytest.fixture(scope="module")
def policies():
    """Of a villain in each game, the ranges it plays; hold'em's works out its buckets as it goes."""
    tables = {game: exact_policy(game, make_player("cfr", game)) for game in (KUHN, LEDUC)}
    ranges = {game: tabular_ranges(game, table) for game, table in tables.items()}
    return {**ranges, HOLDEM: range_policy_of(make_player("cfr:small", HOLDEM))}


def random_decisions(game, deal, rng):
    """The hand at each decision of random play over the menu."""
    hand = HandState(game, deal)
    while not hand.done:
        observation = hand.observe()
        menu = make_menu(observation)
        yield [move.action for move in hand.moves], observation, menu
        hand.apply(menu[rng.integers(len(menu))].action)


def replayed(game, deal, actions):
    hand = HandState(game, deal)
    for action in actions:
        hand.apply(action)
    return hand


# What it may know


def hide_other_cards(game, deal, observation, rng):
    """Another deal, of which a player has seen the same."""
    each = 2 if game.name == "holdem" else 1
    own = range(observation.seat * each, (observation.seat + 1) * each)
    seen = {*own, *range(2 * each, 2 * each + len(observation.board))}
    known = [deal.deck[place] for place in seen]
    others = iter(rng.permutation([card for card in range(len(game.cards)) if card not in known]).tolist())
    deck = [deal.deck[place] if place in seen else next(others) for place in range(game.deck_length)]
    return Deal(tuple(deck), 1 - deal.hero_seat, deal.seed + 1)


@settings(max_examples=60, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32))
def test_hidden_cards_never_change_an_advised_prompt(policies, game, seed):
    rng, deal = np.random.default_rng(seed), make_deals(game, 1, seed)[0]
    for actions, observation, menu in random_decisions(game, deal, rng):
        other = replayed(game, hide_other_cards(game, deal, observation, rng), actions).observe()
        told = [Advisor(game, policies[game]).advise(seen, make_menu(seen)) for seen in (observation, other)]
        for style in STYLES:
            first, second = (build_messages(observation, menu, style, advice) for advice in told)
            assert first == second != build_messages(observation, menu, style)


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_own_cards_and_betting_do_change_it(policies, game):
    advisor = Advisor(game, policies[game])
    first = [replayed(game, deal, []).observe() for deal in make_deals(game, 30, 0)]
    bets = [item.action for item in make_menu(first[0]) if item.kind in ("bet", "raise")]
    later = [replayed(game, deal, bets[:1]).observe() for deal in make_deals(game, 30, 0)]
    for asked in (first, later):
        assert len({advisor.advise(seen, make_menu(seen)).equity for seen in asked}) >= 3
    assert {seen.hole for seen in first} & {seen.hole for seen in later} or game is HOLDEM


# Brute force


def check_down(game, deck, seat):
    """Hero's share of the pot: a pair, then the higher card."""
    own, other, *board = (game.cards[deck[place]] for place in (seat, 1 - seat, *range(2, len(deck))))
    own_value, other_value = ((card in board, "JQK".index(card)) for card in (own, other))
    return (1 + (own_value > other_value) - (own_value < other_value)) / 2


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_small_games_by_every_deck(game):
    table = exact_policy(game, make_player("cfr", game))
    advisor, compared = load_advisor("cfr", game), 0
    seen = {(each.hole, each.board, each.moves): each for each in information_sets(game).values()}  # suits aside
    for observation in seen.values():
        menu, actions = make_menu(observation), [move.action for move in observation.moves]
        pot, to_call = observation.pot, observation.to_call
        reaches, equities, folds, raised = [], [], [], []
        for deck in all_decks(game):
            hand, reach = HandState(game, Deal(deck, 0, 0)), 1.0
            board = tuple(game.cards[card] for card in deck[2:][: len(observation.board)])
            if (hand.hole(observation.seat), board) != (observation.hole, observation.board):
                continue
            for action in actions:
                if hand.current_seat != observation.seat:
                    reach *= table[hand.observe().infoset][action]
                hand.apply(action)
            reaches.append(reach)
            equities.append(check_down(game, deck, observation.seat))
            if menu[-1].kind in ("bet", "raise"):
                hand.apply(menu[-1].action)
                folds.append(table[hand.observe().infoset][FOLD])
                bet = hand.observe().to_call
                called = equities[-1] * (pot + bet) - (1 - equities[-1]) * (to_call + bet)
                raised.append(folds[-1] * pot + (1 - folds[-1]) * called)
        advice = advisor.advise(observation, menu)
        assert set(advice.folds) == {item.action for item in menu if item.kind in ("bet", "raise")}
        if np.mean(reaches) > 1e-3:
            compared += 1
            assert advice.equity == pytest.approx(np.average(equities, weights=reaches), abs=2e-3)
            values = dict(zip([item.kind for item in menu], advisor.values(observation, menu), strict=True))
            called = np.average(equities, weights=reaches) * (pot + to_call) - to_call
            assert values["call" if to_call else "check"] == pytest.approx(called, abs=2e-2)
            assert values.get("fold", 0) == 0
            if folds:
                assert advice.folds[menu[-1].action] == pytest.approx(np.average(folds, weights=reaches), abs=2e-3)
                assert values[menu[-1].kind] == pytest.approx(np.average(raised, weights=reaches), abs=2e-2)
    assert compared >= {"kuhn": 12, "leduc": 120}[game.name]


def test_a_local_best_response_wins_most_of_what_can_be_won():
    villain = make_player("cfr:weak", KUHN)
    hero, judge = Follower(load_advisor("cfr:weak", KUHN), (1.0,)), ExactJudge(KUHN, villain)
    assert judge.judge(exact_policy(KUHN, hero)).capture > 0.7


def test_it_answers_as_often_as_it_says():
    hero = Follower(load_advisor("cfr:weak", KUHN), (1.0,))
    observation = HandState(KUHN, make_deals(KUHN, 1, 0)[0]).observe()
    asked = [replace(observation, coin_seed=seed) for seed in range(2_000)]
    taken = Counter(answer.action for answer in hero.act(asked))
    (policy,) = hero.policy([observation])
    assert sum(policy.values()) == pytest.approx(1)
    for action, chance in policy.items():
        assert taken[action] / len(asked) == pytest.approx(chance, abs=0.04)


@pytest.mark.parametrize("name", ["kuhn", "holdem"])
def test_following_advice_is_taking_what_is_worth_most(name):
    """Greedily with no softness, ever more evenly with more of it, and of no bets but those that it may make."""
    game = make_game(name)
    villain = "cfr:weak" if name == "kuhn" else "call"
    observations = [HandState(game, deal).observe() for deal in make_deals(game, 12, 3)]
    best, soft = make_player(f"advice:{villain}@0.5/1", game), make_player(f"advice:{villain}~0.1@0.5/1", game)
    assert best.name == f"advice:{villain}@0.5/1"
    advisor = load_advisor(villain, game)
    for observation, greedy, tempered, answer in zip(
        observations, best.policy(observations), soft.policy(observations), best.act(observations), strict=True
    ):
        menu = make_menu(observation, (0.5, 1.0))
        worth = advisor.advise(observation, menu).worth
        top = max(worth, key=worth.__getitem__)
        assert greedy == {item.action: float(item.action == top) for item in menu}
        assert answer.action == top == answer.menu[answer.place] and answer.probabilities == tuple(greedy.values())
        for action, chance in tempered.items():
            assert chance / tempered[top] == pytest.approx(np.exp((worth[action] - worth[top]) / 0.1), rel=1e-6)
    everything = make_player(f"advice:{villain}", game).policy(observations)
    assert list(everything[0]) == [item.action for item in make_menu(observations[0])]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("advice:tag", "tag"),
        ("advice:", "unknown player 'advice:'"),
        ("advice:shark@1", "unknown player 'shark'"),
        ("advice:call@0", "sizes 0 must be above 0"),
        ("advice:call@1/x", "unknown player 'call@1/x'"),
        ("advice:call~-1", "unknown player 'call~-1'"),
    ],
)
def test_advice_about_nobody_is_one_line(spec, message):
    with pytest.raises(UserError) as caught:
        make_player(spec, HOLDEM)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("rivers", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_holdem_rivers_by_every_holding(policies, rivers):
    """A holding at a time, as the villain would play it, on rivers of its own play against itself."""
    villain, advisor, compared = make_player("cfr:small", HOLDEM), Advisor(HOLDEM, policies[HOLDEM]), 0
    names = [tuple(HOLDEM_CARDS[card] for card in holding) for holding in HOLDINGS]
    for deal in make_deals(HOLDEM, 60, 3):
        hand = HandState(HOLDEM, deal)
        while not hand.done and hand.street < 3:
            hand.apply(villain.act([hand.observe("villain")])[0].action)
        if hand.done or compared == rivers:
            continue
        observation, compared = hand.observe(), compared + 1
        menu = make_menu(observation)
        known = {*observation.hole, *observation.board}
        holdings = [cards for cards in names if not known & {*cards}]
        reach, again = np.ones(len(holdings)), HandState(HOLDEM, deal)
        for move in observation.moves:
            if move.seat != observation.seat:
                seen = [replace(again.observe(), hole=cards) for cards in holdings]
                reach *= [policy.get(move.action, 0.0) for policy in villain.policy(seen)]
            again.apply(move.action)
        assert reach.sum() > 1e-3
        board = [HOLDEM_CARDS.index(card) for card in observation.board]
        own, *others = (
            hand_value(np.array([*map(HOLDEM_CARDS.index, cards), *board])) for cards in (observation.hole, *holdings)
        )
        equities = [0.5 * (own > other) + 0.5 * (own >= other) for other in others]
        advice = advisor.advise(observation, menu)
        assert advice.equity == pytest.approx(np.average(equities, weights=reach), abs=2e-3)
        for item in menu:
            if item.kind in ("bet", "raise"):
                bet = replayed(HOLDEM, deal, [*(move.action for move in observation.moves), item.action]).observe()
                folds = [policy.get(FOLD, 0.0) for policy in villain.policy([replace(bet, hole=c) for c in holdings])]
                assert advice.folds[item.action] == pytest.approx(np.average(folds, weights=reach), abs=2e-3)
    assert compared == rivers


# Whatever happens


@settings(max_examples=40, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32))
def test_advice_makes_sense_whatever_was_played(policies, game, seed):
    """Bets that villain never makes among it."""
    rng, advisor = np.random.default_rng(seed), Advisor(game, policies[game])
    for _, observation, menu in random_decisions(game, make_deals(game, 1, seed)[0], rng):
        advice = advisor.advise(observation, menu)
        assert set(advice.folds) == {item.action for item in menu if item.kind in ("bet", "raise")}
        worth = [advice.worth[item.action] * observation.pot for item in menu]
        assert worth == pytest.approx(list(advisor.values(observation, menu)))
        assert all(-1e-9 <= share <= 1 + 1e-9 for share in (advice.equity, *advice.folds.values()))
        pot, to_call = observation.pot, observation.to_call
        assert advice.pot_odds == (to_call / (pot + to_call) if to_call else None)


def test_neither_the_order_of_questions_nor_forgetting_matters(policies, monkeypatch):
    rng = np.random.default_rng(5)
    asked = [
        (observation, menu)
        for deal in make_deals(HOLDEM, 6, 0)
        for _, observation, menu in random_decisions(HOLDEM, deal, rng)
    ]
    advisor = Advisor(HOLDEM, policies[HOLDEM])
    given = [advisor.advise(*question) for question in asked]
    monkeypatch.setattr(advisor_module, "_CACHED_RANGES", 1)
    monkeypatch.setattr(advisor_module, "_CACHED_ADVICE", 1)
    forgetful = Advisor(HOLDEM, policies[HOLDEM])
    assert [forgetful.advise(*question) for question in reversed(asked)] == given[::-1]


def advice_about(spec, actions, game=HOLDEM, deal=None):
    observation = replayed(game, deal or make_deals(game, 1, 0)[0], actions).observe()
    return load_advisor(spec, game).advise(observation, make_menu(observation))


def test_villains_that_anybody_can_advise_about():
    aces = Deal((48, 49, 0, 5, 10, 15, 20, 25, 30), 0, 0)  # to the big blind
    assert advice_about("call", [300], deal=aces).equity == pytest.approx(0.852, abs=1e-3)  # aces before the flop
    assert advice_about("call", [300], deal=aces).pot_odds == pytest.approx(200 / 600)
    assert set(advice_about("call", [300]).folds.values()) == {0.0}
    assert min(advice_about("fold", [300]).folds.values()) == pytest.approx(1.0)
    assert advice_about("fold", [CALL]).pot_odds is None
    assert advice_about("random", [1], KUHN).pot_odds == 0.25
    assert advice_about("random", [], KUHN).folds == {1: 0.5}


def test_a_raise_that_villain_never_makes_counts_as_its_nearest(policies):
    """And one that it makes with nothing at all leaves its range as it was before."""
    deal, advisor = make_deals(HOLDEM, 1, 1)[0], Advisor(HOLDEM, policies[HOLDEM])
    opening = HandState(HOLDEM, deal).observe()
    actions, _ = policies[HOLDEM](opening)(np.empty(0, np.int64))
    own = sorted(action for action in actions if action not in (FOLD, CALL))
    equities = {}
    for action in (own[0], own[0] + 1, own[-1], own[-1] - 1):
        seen = replayed(HOLDEM, deal, [action]).observe()
        equities[action] = advisor.advise(seen, make_menu(seen)).equity
    assert equities[own[0] + 1] == equities[own[0]] and equities[own[-1] - 1] == equities[own[-1]]
    assert equities[own[0]] != equities[own[-1]]


def test_what_no_holding_does_says_nothing():
    kings = Deal((2, 0), 0, 0)
    folder = exact_policy(KUHN, make_player("fold", KUHN))
    observation = replayed(KUHN, kings, [0, 1]).observe()  # the folder bets
    advice = Advisor(KUHN, tabular_ranges(KUHN, folder)).advise(observation, make_menu(observation))
    assert advice.equity == 1.0
    queen = replayed(KUHN, Deal((1, 0), 0, 0), [0, 1]).observe()
    assert load_advisor("fold", KUHN).advise(queen, make_menu(queen)).equity == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("spec", "game"),
    [
        ("mix:cfr=1,call=1", KUHN),
        ("mix:call=1,fold=1", HOLDEM),
        ("tag", LEDUC),
        ("random", HOLDEM),
        ("cfr:no/such.npz", KUHN),
        ("shark", HOLDEM),
    ],
)
def test_villains_that_nobody_can_advise_about(spec, game):
    with pytest.raises(UserError) as caught:
        load_advisor(spec, game)
    assert spec in str(caught.value).replace("no/such.npz", "cfr:no/such.npz") and "\n" not in str(caught.value)


# Language models


@pytest.fixture
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))


@pytest.mark.parametrize("style", STYLES)
def test_a_model_is_told_what_its_config_says(model, tiny_model_dir, style):
    observations = [replayed(KUHN, deal, [1]).observe() for deal in make_deals(KUHN, 8, 0)]
    plain = PokerConfig(KUHN, str(tiny_model_dir), style)
    for config in (plain, replace(plain, advisor="cfr"), replace(plain, advisor="call")):
        hero = LLMPlayer(*model, config, advise=advice_for(config))
        for observation, question in zip(observations, hero.ask(observations), strict=True):
            advice = load_advisor(config.advisor, KUHN).advise(observation, question.menu) if config.advisor else None
            messages = build_messages(observation, question.menu, style, advice)
            assert question.text == "\n".join(message["content"] for message in messages)
            assert ("quity" in question.text) == (config.advisor is not None)


@pytest.mark.parametrize("style", STYLES)
def test_advice_may_say_less(model, tiny_model_dir, style):
    observation = replayed(KUHN, make_deals(KUHN, 1, 0)[0], []).observe()
    whole = PokerConfig(KUHN, str(tiny_model_dir), style, advisor="cfr:weak")
    advise = advice_for(whole)
    lines = {}
    for parts in (("folds", "worth"), ("folds",), ("worth",), ()):
        (question,) = LLMPlayer(*model, replace(whole, advice=parts), advise=advise).ask([observation])
        lines[parts] = question.text.splitlines()
    told = {parts: "\n".join(text).lower() for parts, text in lines.items()}
    assert all("quity" in text for text in told.values())
    assert {parts for parts, text in told.items() if "folds" in text} == {("folds", "worth"), ("folds",)}
    says = "share of the pot won" if style == "classic" else "worth"
    assert {parts for parts, text in told.items() if says in text} == {("folds", "worth"), ("worth",)}
    shorter = [line for line in lines[()] if line not in lines["folds", "worth"]]
    assert len(shorter) <= 1 and all(line.rstrip(".") in told_line for line in shorter for told_line in
                                     lines["folds", "worth"] if "quity" in told_line)  # fmt: skip


def test_an_adapter_is_asked_as_it_was_trained_and_results_say_how(model, tiny_model_dir, tmp_path):
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model[0], LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path)
    PokerConfig(KUHN, str(tiny_model_dir), "classic", advisor="cfr:weak").save(tmp_path)
    hero = make_llm_player(str(tmp_path), KUHN)
    assert hero.config.advisor == "cfr:weak"
    assert "Your equity" in hero.ask([HandState(KUHN, make_deals(KUHN, 1, 0)[0]).observe()])[0].text
    record = results(evaluate(KUHN, hero, make_player("cfr", KUHN), 4, progress=False), "")
    assert record["prompts"] == {
        f"llm:{tmp_path}": {
            **{"style": "classic", "advisor": "cfr:weak", "advice": "odds,folds,worth"},
            **{"temperature": 1.0, "answers": "free"},
        }
    }
    bots = evaluate(KUHN, make_player("tag", KUHN), make_player("cfr", KUHN), 4, progress=False)
    assert results(bots, "")["prompts"] == {}


def test_configs_without_the_key_still_load(tmp_path):
    config = PokerConfig(KUHN, "model", advisor="cfr")
    config.save(tmp_path)
    assert PokerConfig.load(tmp_path) == config
    record = json.loads((tmp_path / FILE_NAME).read_text())
    del record["advisor"], record["advice"]
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    assert PokerConfig.load(tmp_path) == replace(config, advisor=None)
    (tmp_path / FILE_NAME).write_text(json.dumps({**record, "advisor": True}))
    with pytest.raises(UserError, match="advisor True"):
        PokerConfig.load(tmp_path)
    (tmp_path / FILE_NAME).write_text(json.dumps({**record, "advice": ["folds", "hope"]}))
    with pytest.raises(UserError, match=r"advice \['folds', 'hope'\] may hold folds and worth"):
        PokerConfig.load(tmp_path)
