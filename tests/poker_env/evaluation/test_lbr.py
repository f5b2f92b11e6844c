"""Local best response: known winnings, an independent slow version, and what it knows of villain."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from poker_env.cards.equity import equities_against, preflop_equities
from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, PREFLOP_CLASSES, hand_value, holding_index
from poker_env.cfr.playing.blueprint_strategy import BoardMemory
from poker_env.errors import UserError
from poker_env.evaluation.lbr import SETTINGS, LocalBestResponder, Options, local_best_response
from poker_env.evaluation.lbr_report import lbr_summary
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.knowledge.ranges import range_policy_of
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import CALL, FOLD, HandState
from poker_env.table import play
from recipes import evaluate

GAME = make_game("holdem")


@pytest.fixture(scope="module")
def cfr() -> CFRPlayer:
    return make_player("cfr", GAME)


def policy_of(spec):
    return range_policy_of(make_player(spec, GAME))


# Equities


@njit
def brute_force(hole, board, opponent):
    """Equity of two cards against two others, all boards dealt."""
    dead = np.zeros(52, np.bool_)
    for card in hole:
        dead[card] = True
    for card in opponent:
        dead[card] = True
    for card in board:
        dead[card] = True
    live = np.flatnonzero(~dead)
    missing = 5 - len(board)
    mine, other = np.empty(7, np.int64), np.empty(7, np.int64)
    mine[:2], other[:2] = hole, opponent
    mine[2 : 2 + len(board)], other[2 : 2 + len(board)] = board, board
    places = np.arange(missing)
    wins, total = 0.0, 0
    while True:
        for place in range(missing):
            mine[7 - missing + place] = other[7 - missing + place] = live[places[place]]
        first, second = hand_value(mine), hand_value(other)
        wins += 1.0 if first > second else 0.5 if first == second else 0.0
        total += 1
        place = missing - 1
        while place >= 0 and places[place] == len(live) - missing + place:
            place -= 1
        if place < 0:
            return wins / total
        places[place] += 1
        for later in range(place + 1, missing):
            places[later] = places[later - 1] + 1


def cards(text):
    return np.array([HOLDEM_CARDS.index(text[place : place + 2]) for place in range(0, len(text), 2)])


@pytest.mark.parametrize(
    ("hole", "board"),
    [
        ("AhKh", "2h7hTd"),  # a flush draw
        ("AhKd", "2h7hTh"),  # a board of one suit
        ("2c2d", "7h8h9h"),
        ("7c7d", "7h8s8d"),  # a full house beats flushes
        ("3c4d", "Ts9s8sJs"),
        ("AsKd", "QsJsTs9s"),  # straight flushes
        ("2c3c", "AcKcQcJc9c"),  # everybody's flush
        ("AcAd", "7h7s7d7c2h"),
        ("Kc5d", "Kh5h5s2d"),
    ],
)
def test_equities_equal_brute_force(hole, board):
    hole, board = cards(hole), cards(board)
    equities = equities_against(hole, board)
    checked = 0
    for holding in range(0, N_HOLDINGS, 7 if len(board) == 3 else 1):
        if not set(HOLDINGS[holding].tolist()) & {*hole.tolist(), *board.tolist()}:
            expected = brute_force(hole, board, HOLDINGS[holding].astype(np.int64))
            assert equities[holding] == pytest.approx(expected, abs=1e-12)
            checked += 1
    assert checked > 100


def test_equities_equal_brute_force_on_random_boards():
    rng = np.random.default_rng(0)
    for n_board, repeats in ((3, 6), (4, 60), (5, 300)):
        for _ in range(repeats):
            dealt = rng.permutation(52)[: n_board + 4]
            low, high = sorted(dealt[2:4].tolist())
            holding = low * (103 - low) // 2 + high - low - 1
            equity = equities_against(dealt[:2], dealt[4:])[holding]
            assert equity == pytest.approx(brute_force(dealt[:2], dealt[4:], dealt[2:4]), abs=1e-12)


def test_preflop_equities():
    table = preflop_equities()
    assert np.allclose(table + table.T, 1)
    row = equities_against(cards("AhKh"), np.array([], np.int64))
    pairs_of_queens = [equities for equities, holding in zip(row, HOLDINGS, strict=True) if set(holding // 4) == {10}]
    expected = []
    for first, second in itertools.combinations(cards("QcQdQhQs").tolist(), 2):
        expected.append(brute_force(cards("AhKh"), np.array([], np.int64), np.array([first, second])))
    assert np.mean(expected) == pytest.approx(pairs_of_queens[0], abs=1e-6)
    assert len(set(pairs_of_queens)) == 1


# Known winnings


def test_what_it_wins_against_fold():
    """Which checks when that is free: half a big blind as the big blind; as the button a big blind, once it bets."""
    for setting in ("late", "fcpa", "eight"):
        result = local_best_response(GAME, policy_of("fold"), setting, 200)
        assert result.estimate.mbb_per_hand == pytest.approx(750, abs=1e-9)
        assert [seat.mbb_per_hand for seat in result.by_seat] == pytest.approx([500, 1000], abs=1e-9)
    checked_down = local_best_response(GAME, policy_of("fold"), "fc", 2_000)
    assert checked_down.estimate.mbb_per_hand == pytest.approx(250, abs=4 * checked_down.estimate.standard_error)
    assert checked_down.estimate.standard_error < 30


# Who always calls folds to nothing, so a bet b changes what the rule expects by b(2 wp - 1), wp being hero's equity
# against a random holding. Hence hero puts in all it may as soon as it is ahead, and never folds: with a pot of
# matched blinds a check or call is always worth something. That says what it wins, deal by deal.


def against_a_random_holding(hole, board):
    """Equity against all holdings that are possible, by brute force."""
    known = {*hole.tolist(), *board.tolist()}
    others = [pair for pair in HOLDINGS.astype(np.int64) if not known & set(pair.tolist())]
    return np.mean([brute_force(hole, board, pair) for pair in others])


def preflop_against_a_random_holding():
    """Of every holding (1326,), by the table of equities before the flop."""
    table, counts = preflop_equities(), np.zeros((169, 169))
    for first, hole in enumerate(HOLDINGS):
        free = ~np.isin(HOLDINGS, hole).any(axis=1)
        counts[PREFLOP_CLASSES[first]] = np.bincount(PREFLOP_CLASSES[free], minlength=169)
    return ((table * counts).sum(axis=1) / counts.sum(axis=1))[PREFLOP_CLASSES]


@pytest.mark.parametrize(
    ("setting", "streets"), [("fc", ()), ("late", (4, 5)), ("fcpa", (0, 3, 4, 5)), ("eight", (0, 3, 4, 5))]
)
def test_what_it_wins_from_call_in_every_deal(setting, streets):
    """All-in on the first of the `streets` (cards on the board) where it is ahead, else the pot of two blinds."""
    player = LocalBestResponder(GAME, policy_of("call"), SETTINGS[setting])
    preflop = preflop_against_a_random_holding()
    when = set()
    for deal in make_deals(GAME, 5 if 3 in streets else 25, 21):
        hole, board = np.array(deal.deck[2 * deal.hero_seat :][:2]), np.array(deal.deck[4:])
        stake, seen = GAME.big_blind, 5
        for n_board in streets:
            equity = against_a_random_holding(hole, board[:n_board]) if n_board else preflop[holding_index(*hole)]
            if equity > 0.5:
                stake, seen = GAME.stack, n_board
                break
        else:
            equity = against_a_random_holding(hole, board)
        assert player.play(deal) == pytest.approx(stake * (2 * equity - 1), abs=1e-6)
        when.add((stake, seen))
    assert len(when) > 1 or not streets


def test_what_it_wins_from_call_all_in_or_nothing_before_the_flop():
    """Over all holdings: 200 blinds times twice the edge of those ahead, and one blind times that of the others."""
    preflop = preflop_against_a_random_holding()
    edges = 2 * preflop - 1
    assert edges.mean() == pytest.approx(0, abs=1e-9) and preflop.max() == pytest.approx(0.852, abs=5e-4)  # aces
    expected = 1000 * np.where(edges > 0, 200 * edges, edges).mean()
    shove, check = Options(all_in=True), Options(fold=False)
    player = LocalBestResponder(GAME, policy_of("call"), (shove, check, check, check))
    deals = make_deals(GAME, 4_000, 5)
    won = np.array([1000 * player.play(deal) / GAME.big_blind for deal in deals])
    assert won.mean() == pytest.approx(expected, abs=4 * won.std() / len(won) ** 0.5)
    holdings = [holding_index(*deal.deck[2 * deal.hero_seat :][:2]) for deal in deals]
    own = 1000 * np.where(edges > 0, 200 * edges, edges)[holdings]
    assert won - own == pytest.approx(0, abs=2_000)  # the board is all that is left to luck, and only for a blind
    assert np.mean(won - own) == pytest.approx(0, abs=4 * np.std(won - own) / len(won) ** 0.5)
    waiting = local_best_response(GAME, policy_of("call"), "fcpa", 2_000).estimate
    assert waiting.mbb_per_hand > expected  # it checks what is behind, and is ahead on a later street


# An independent slow version


class SlowResponder:
    """The same rule in plain Python: real hands, `range_policy` for villain, brute force for showdowns.

    `value` is exact: villain's every holding and every action, each by its probability.
    """

    def __init__(self, villain, deal, options):
        self.villain, self.deal, self.options, self.hero = villain, deal, options, deal.hero_seat
        self.hole = np.array(deal.deck[2 * self.hero :][:2])
        self.board = np.array(deal.deck[4:])
        self.replies, self.equity_rows = {}, {}

    def hand(self, actions):
        hand = HandState(GAME, self.deal)
        for action in actions:
            hand.apply(action)
        return hand

    def reply(self, actions):
        if actions not in self.replies:
            self.replies[actions] = self.villain.range_policy(self.hand(actions).observe())
        return self.replies[actions]

    def equities(self, n_board):
        if n_board not in self.equity_rows:
            row = {}
            known = self.board[:n_board]
            for holding, pair in enumerate(HOLDINGS.astype(np.int64)):
                if not set(pair.tolist()) & {*self.hole.tolist(), *known.tolist()}:
                    row[holding] = (
                        brute_force(self.hole, known, pair) if n_board else equities_against(self.hole, known)[holding]
                    )
            self.equity_rows[n_board] = row
        return self.equity_rows[n_board]

    def equity(self, weights, n_board):
        row = self.equities(n_board)
        live = {holding: weight for holding, weight in weights.items() if holding in row}
        return sum(weight * row[holding] for holding, weight in live.items()) / sum(live.values())

    def choose(self, actions, weights):
        hand = self.hand(actions)
        observation = hand.observe()
        options = self.options[observation.street]
        pot, to_call, highest = observation.pot, observation.to_call, max(observation.contributions)
        if not options.sizes and not options.all_in and not (options.fold and to_call):
            return CALL
        n_board = len(observation.board)
        row = self.equities(n_board)
        weights = {holding: weight for holding, weight in weights.items() if holding in row}
        equity = self.equity(weights, n_board)
        values = {CALL: equity * pot - (1 - equity) * to_call}
        if options.fold and to_call:
            values[FOLD] = 0.0
        if observation.min_raise_to is not None:
            totals = {max(observation.min_raise_to, highest + round(2 * highest * size)) for size in options.sizes}
            totals = {min(total, GAME.stack) for total in totals} | ({GAME.stack} if options.all_in else set())
            for total in totals:
                villains, policy = self.reply((*actions, total))
                folding = villains.index(FOLD) if FOLD in villains else None
                stay = {h: w * (1 if folding is None else 1 - policy[h, folding]) for h, w in weights.items()}
                folds = 1 - sum(stay.values()) / sum(weights.values())
                bet = total - highest
                after = self.equity(stay, n_board) if folds < 1 else 0.0
                values[total] = folds * pot + (1 - folds) * (after * (pot + bet) - (1 - after) * (to_call + bet))
        best = max(values.values())
        return min(action for action, value in values.items() if value > best - 1e-7 * pot)

    def value(self, actions=(), weights=None):
        """Chips, for a deal whose hero's cards and board are known but not villain's."""
        if weights is None:
            weights = dict.fromkeys(self.equities(0), 1.0)
        hand = self.hand(actions)
        if hand.current_seat == self.hero:
            action = self.choose(actions, weights)
            return self.after(hand, (*actions, action), weights)
        villains, policy = self.reply(actions)
        unblocked = {h: w for h, w in weights.items() if not set(HOLDINGS[h].tolist()) & set(self.board.tolist())}
        total = sum(unblocked.values())
        value = 0.0
        for column, action in enumerate(villains):
            chance = sum(weight * policy[holding, column] for holding, weight in unblocked.items()) / total
            if chance > 0:
                taking = {h: w * policy[h, column] for h, w in weights.items() if policy[h, column] > 0}
                value += chance * self.after(hand, (*actions, action), taking)
        return value

    def after(self, before, actions, weights):
        hand = self.hand(actions)
        if not hand.done:
            return self.value(actions, weights)
        if not hand.showdown:
            return hand.payoffs[self.hero]
        return min(hand.contributions) * (2 * self.equity(weights, len(before.board)) - 1)


@pytest.mark.parametrize(("setting", "index"), [("fc", 0), ("fc", 1), ("late", 2), ("fcpa", 3), ("eight", 4)])
def test_it_plays_and_counts_as_the_slow_version(cfr, setting, index):
    deal = make_deals(GAME, 1, 11, start=index)[0]
    slow = SlowResponder(cfr, deal, SETTINGS[setting]).value()
    fast = LocalBestResponder(GAME, range_policy_of(cfr), SETTINGS[setting])
    values = [fast.play(replace(deal, seed=seed)) for seed in range(1500)]
    error = np.std(values) / len(values) ** 0.5
    assert np.mean(values) == pytest.approx(slow, abs=4.5 * error + 1e-6)


# What it knows of villain


def test_ranges_are_those_of_the_player_with_bets_off_its_tree(cfr):
    policy = range_policy_of(cfr)
    rng = np.random.default_rng(5)
    compared = 0
    for index in range(12):
        hand = HandState(GAME, make_deals(GAME, 1, 3, start=index)[0])
        while not hand.done:
            observation = hand.observe()
            board = np.array([HOLDEM_CARDS.index(card) for card in observation.board], np.int64)
            actions, probabilities = policy(observation)(board)
            expected_actions, expected = cfr.range_policy(observation)
            live = expected.sum(axis=1) > 0
            assert actions == expected_actions
            assert np.allclose(probabilities[live], expected[live])
            assert np.allclose(probabilities.sum(axis=1), 1)
            compared += live.sum()
            smallest = observation.min_raise_to
            raises = smallest is not None and rng.random() < 0.4
            hand.apply(int(min(smallest * rng.uniform(1, 2.5), GAME.stack)) if raises else CALL)
    assert compared > 20_000


def test_a_player_that_has_to_be_asked_is_met_the_same_way(cfr):
    class Asked:
        name = "asked"

        def act(self, observations):
            raise NotImplementedError

        def range_policy(self, observation):
            return cfr.range_policy(observation)

    for deal in make_deals(GAME, 3, 4):
        expected = LocalBestResponder(GAME, range_policy_of(cfr), SETTINGS["fcpa"]).play(deal)
        asked = LocalBestResponder(GAME, range_policy_of(Asked()), SETTINGS["fcpa"]).play(deal)
        assert asked == pytest.approx(expected, abs=1e-6)


class AskedOneByOne:
    """Another player, which says its probabilities for one holding at a time, as a language model does."""

    name = "one by one"

    def __init__(self, player, share=1.0):
        self.player, self.share, self.asked = player, share, []

    def act(self, observations):
        raise NotImplementedError

    def policy(self, observations):
        self.asked.append(len(observations))
        return [{a: self.share * p for a, p in row.items()} for row in self.player.policy(observations)]


def test_a_player_asked_about_every_holding_is_met_the_same_way(cfr):
    one_by_one = AskedOneByOne(cfr)
    deals = make_deals(GAME, 3, 4)
    asked = LocalBestResponder(GAME, range_policy_of(one_by_one, ask=True), SETTINGS["fcpa"])
    direct = LocalBestResponder(GAME, range_policy_of(cfr), SETTINGS["fcpa"])
    assert [asked.play(deal) for deal in deals] == pytest.approx([direct.play(deal) for deal in deals], abs=1e-6)
    assert set(one_by_one.asked) <= {1326, 1176, 1128, 1081}
    preflop = one_by_one.asked.count(1326)
    asked.play(deals[0])
    assert one_by_one.asked.count(1326) == preflop  # what it says before the flop is kept
    with pytest.raises(UserError, match="one by one"):
        range_policy_of(one_by_one)


@pytest.mark.parametrize("setting", ["late", "fcpa"])
def test_answers_that_name_no_action_give_up_the_hand(cfr, setting):
    """On the button half a blind, in the big blind a whole one: after a call as well, where checking is free."""
    policy = range_policy_of(AskedOneByOne(cfr, share=0.0), ask=True)
    result = local_best_response(GAME, policy, setting, 12)
    assert [seat.mbb_per_hand for seat in result.by_seat] == pytest.approx([500, 1000], abs=1e-6)


@pytest.mark.slow
def test_a_language_models_ranges_are_what_it_plays(tiny_model_dir):
    """Who checks and calls everything wins as much from its ranges as from its answers, on the same decks."""
    pytest.importorskip("torch")
    model = make_player(f"llm:{tiny_model_dir}", GAME)
    model.config = replace(model.config, max_new_tokens=1)  # else it may name an action in more ways than are counted
    responder = LocalBestResponder(GAME, range_policy_of(model, ask=True), (Options(fold=False),) * 4)
    deals = make_deals(GAME, 15, 7)
    expected = np.array([responder.play(deal) for deal in deals])
    replicas = [Deal(deal.deck, deal.hero_seat, 1000 * seed + deal.seed) for deal in deals for seed in range(40)]
    hands = play(GAME, replicas, make_player("call", GAME), model)
    won = np.array([hand.payoff for hand in hands]).reshape(15, 40).mean(axis=1)
    assert (won - expected).mean() == pytest.approx(0, abs=4 * (won - expected).std() / 15**0.5)
    assert won.std() > 0


def test_buckets_of_suits_renamed(cfr):
    abstraction = cfr.strategy.blueprint.abstraction
    memory = BoardMemory(abstraction)
    for text in ("2h7hTd", "2s7sTc", "2h7hTdTh", "2h7hTdThAc"):
        live = [holding for holding, pair in enumerate(HOLDINGS) if not set(pair.tolist()) & set(cards(text).tolist())]
        assert (memory.lookup_range(cards(text))[live] == abstraction.lookup_range(cards(text))[live]).all()


def test_the_same_seed_is_the_same_deals_and_coins():
    first = local_best_response(GAME, policy_of("fold"), "fc", 60, seed=1)
    assert first.estimate == local_best_response(GAME, policy_of("fold"), "fc", 60, seed=1).estimate
    assert first.estimate != local_best_response(GAME, policy_of("fold"), "fc", 60, seed=2).estimate


# The recipe


def test_the_summary_of_a_strategy():
    summary = lbr_summary(GAME, policy_of("fold"), hands=20)
    assert set(summary) == {"fc", "late", "fcpa"}
    assert summary["fcpa"] == {"mbb_per_hand": 750, "standard_error": None, "hands": 20}


def test_the_recipe_writes_results(tmp_path, capsys):
    evaluate.main(["--hero", "lbr:late", "--villain", "fold", "--hands", "41", "--output", str(tmp_path)])
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["hero"], record["villain"], record["hands"], record["deals"]) == ("lbr:late", "fold", 42, 21)
    figures = record["estimates"][record["headline"]]
    assert figures["mbb_per_hand"] == pytest.approx(750) and figures["standard_error"] is None
    assert record["by_seat"]["button"]["mbb_per_hand"] == pytest.approx(1000)
    assert "lbr:late against fold" in capsys.readouterr().out


def test_the_recipe_meets_a_villain_that_re_solves_the_river(tmp_path):
    arguments = ["--hero", "lbr:fcpa", "--hands", "20", "--seed", "1", "--output", str(tmp_path)]
    won = {}
    for villain in ("cfr:small", "cfr:small+river", "cfr:small+river"):
        evaluate.main([*arguments, "--villain", villain])
        record = json.loads((tmp_path / "results.json").read_text())
        assert record["villain"] == villain and villain in record["checkpoints"]
        mean = record["estimates"]["lbr"]["mbb_per_hand"]
        assert won.setdefault(villain, mean) == mean
    assert won["cfr:small"] != won["cfr:small+river"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hero", "lbr:everything", "--villain", "fold"], "'everything'"),
        (["--hero", "lbr:fc", "--villain", "tag"], "'tag'"),
        (["--hero", "lbr", "--game", "leduc", "--villain", "call"], "leduc"),
        (["--hero", "lbr", "--villain", "fold", "--hands", "0"], "0 hands"),
        (["--hero", "lbr", "--villain", "fold", "--seed", "-1"], "-1"),
    ],
)
def test_what_it_cant_do_is_said_in_one_line(arguments, message):
    with pytest.raises(UserError) as error:
        evaluate.main(arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
