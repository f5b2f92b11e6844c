"""CFR players: the shipped opponents, their policies in any real state, and files that aren't theirs."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS
from poker_env.cfr.checkpoint import load_checkpoint
from poker_env.cfr.full_width import TabularStrategy
from poker_env.cfr.playing.river_strategy import RiverStrategy
from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, make_deals, make_game
from poker_env.hand import Answer
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS, load_cfr_player
from poker_env.state import HandState
from poker_env.table import play

HOLDEM = make_game("holdem")


@pytest.fixture(scope="module")
def blueprint():
    return load_cfr_player(HOLDEM, None)


def _legal(observation, action):
    if action in observation.legal:
        return True
    lowest = observation.min_raise_to
    return lowest is not None and lowest <= action <= observation.game.stack


@pytest.mark.parametrize(("name", "bound"), [("kuhn", 0.001), ("leduc", 0.001)])
def test_small_games_ship_with_an_equilibrium(name, bound):
    strategy = load_cfr_player(make_game(name), None).strategy
    assert isinstance(strategy, TabularStrategy)
    assert strategy.exploitability(make_game(name)) < bound


@pytest.mark.parametrize("name", ["kuhn", "leduc", "holdem"])
def test_answers_follow_the_policy_and_the_coin(name):
    game = make_game(name)
    player = load_cfr_player(game, None)
    observation = HandState(game, make_deals(game, 1, 3)[0]).observe()
    [policy] = player.policy([observation])
    seeds = np.random.default_rng(0).integers(0, 2**63, 4000)
    answers = player.act([replace(observation, coin_seed=2 * int(seed)) for seed in seeds])
    counts = Counter(answer.action for answer in answers)
    for action, probability in policy.items():
        assert counts[action] / 4000 == pytest.approx(probability, abs=0.04)
    assert player.act([observation] * 3) == [player.act([observation])[0]] * 3


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.floats(0, 1), min_size=60, max_size=60),
    kinds=st.lists(
        st.sampled_from(["call", "call", "min", "near", "any", "all-in", "fold"]), min_size=60, max_size=60
    ),
)
@settings(max_examples=80, deadline=None)
def test_every_real_state_has_a_policy_over_legal_actions(blueprint, seed, sizes, kinds):
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, seed)[0])
    for size, kind in zip(sizes, kinds, strict=True):
        if hand.done:
            return
        observation = hand.observe()
        [policy] = blueprint.policy([observation])
        assert sum(policy.values()) == pytest.approx(1)
        assert all(probability > 0 and _legal(observation, action) for action, probability in policy.items())
        assert blueprint.act([observation])[0].action in policy
        lowest = observation.min_raise_to
        action = 1
        if kind == "fold":
            action = 0 if 0 in observation.legal and size > 0.5 else 1
        elif kind != "call" and lowest is not None:
            room = HOLDEM.stack - lowest
            action = lowest + round({"min": 0, "near": 0.05 * size, "any": size, "all-in": 1}[kind] * room)
        hand.apply(action)


def test_a_range_policy_is_the_policy_of_every_holding(blueprint):
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 5)[0])
    rng = np.random.default_rng(0)
    for move in (None, 270, 1, 1, 430, 1, 1):
        if move is not None:
            hand.apply(move)
        observation = hand.observe()
        actions, probabilities = blueprint.range_policy(observation)
        blocked = np.array([{HOLDEM_CARDS[a], HOLDEM_CARDS[b]} & set(observation.board) != set() for a, b in HOLDINGS])
        assert probabilities.shape == (1326, len(actions))
        assert np.allclose(probabilities.sum(axis=1), ~blocked)
        for holding in rng.choice(np.flatnonzero(~blocked), 12, replace=False):
            low, high = sorted(HOLDINGS[holding].tolist())
            [policy] = blueprint.policy([replace(observation, hole=(HOLDEM_CARDS[high], HOLDEM_CARDS[low]))])
            row = dict(zip(actions, probabilities[holding], strict=True))
            assert {action: p for action, p in row.items() if p} == pytest.approx(policy)


def test_cards_the_player_cant_see_dont_matter(blueprint):
    deal = make_deals(HOLDEM, 1, 9)[0]
    first, second, *rest = deal.deck
    other = replace(deal, deck=(second, first, *rest[:2], *rest[2:][::-1]))
    assert blueprint.policy([HandState(HOLDEM, deal).observe()]) == blueprint.policy(
        [HandState(HOLDEM, other).observe()]
    )


def test_a_batch_is_answered_like_one_by_one(blueprint):
    hands = [HandState(HOLDEM, deal) for deal in make_deals(HOLDEM, 20, 4)]
    for hand in hands[:10]:
        hand.apply(250)
    observations = [hand.observe() for hand in hands]
    together = blueprint.act(observations)
    assert together == [blueprint.act([observation])[0] for observation in observations]
    assert all(isinstance(answer, Answer) for answer in together)
    assert blueprint.act([]) == []


@pytest.mark.parametrize(("bot", "hands"), [("fold", 400), ("call", 2000), ("random", 3000)])
def test_the_default_beats_simple_bots(blueprint, bot, hands):
    deals = [side for deal in make_deals(HOLDEM, hands // 2, 1) for side in (deal, deal.swapped())]
    results = [hand.payoff_bb for hand in play(HOLDEM, deals, blueprint, make_player(bot, HOLDEM))]
    pairs = np.array(results).reshape(-1, 2).mean(axis=1)
    assert pairs.mean() > 1.96 * pairs.std() / len(pairs) ** 0.5


def test_names_and_files(tmp_path):
    default = load_cfr_player(HOLDEM, None)
    assert (default.name, len(default.sha256)) == ("cfr", 64)
    copy = tmp_path / "copy.npz"
    copy.write_bytes((OPPONENTS / "holdem.npz").read_bytes())
    assert load_cfr_player(HOLDEM, str(copy)).sha256 == default.sha256
    assert load_cfr_player(HOLDEM, "small").name == "cfr:small"
    assert load_cfr_player(HOLDEM, "small").sha256 != default.sha256


def test_river_re_solving_is_part_of_the_name(tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes((OPPONENTS / "holdem-small.npz").read_bytes())
    small = make_player("cfr:small", HOLDEM)
    for spec in ("cfr+river", "cfr:small+river", f"cfr:{copy}+river"):
        player = make_player(spec, HOLDEM)
        assert player.name == spec
        assert isinstance(player.strategy, RiverStrategy)
        assert (player.sha256 == small.sha256) == (spec != "cfr+river")
    for game in ("kuhn", "leduc"):
        with pytest.raises(UserError, match=f"but {game} has none: take cfr$"):
            make_player("cfr+river", make_game(game))
    for spec, message in [
        ("cfr:none+river", "no checkpoint at none"),
        ("tag+river", "unknown player"),
        ("cfr+turn", "unknown"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            make_player(spec, HOLDEM)
        assert "\n" not in str(caught.value)


def test_hands_are_played_with_the_river_re_solved():
    """The same answers hand by hand as in a batch, and until the river those of the strategy without it."""
    caller, deals = make_player("call", HOLDEM), make_deals(HOLDEM, 12, 2)
    together = play(HOLDEM, deals, caller, make_player("cfr:small+river", HOLDEM))
    player = make_player("cfr:small+river", HOLDEM)
    assert together == [hand for deal in deals for hand in play(HOLDEM, [deal], caller, player)]
    without = play(HOLDEM, deals, caller, make_player("cfr:small", HOLDEM))
    moves = [[[d.move for d in hand.decisions] for hand in hands] for hands in (together, without)]
    early = [[[move for move in hand if move.street < 3] for hand in hands] for hands in moves]
    assert early[0] == early[1]
    assert moves[0] != moves[1]


def test_shipped_files_stay_small():
    assert all(path.stat().st_size < 8 * 2**20 for path in OPPONENTS.glob("*.npz"))


def test_files_that_cant_be_played_are_refused_in_one_line(tmp_path):
    whole = (OPPONENTS / "leduc.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    replace(load_checkpoint(OPPONENTS / "leduc.npz"), kind="mccfr in progress").save(tmp_path / "run.npz")
    shipped = load_checkpoint(OPPONENTS / "holdem.npz")
    other_cards = replace(shipped, settings={**shipped.settings, "abstraction": "0" * 64})
    other_cards.save(tmp_path / "cards.npz", compress=False)
    other_tree = replace(shipped, arrays={**shipped.arrays, "strategy": shipped.arrays["strategy"][:-1]})
    other_tree.save(tmp_path / "tree.npz", compress=False)
    leduc = make_game("leduc")
    for game, argument, message in [
        (leduc, "no/such.npz", "no checkpoint at no/such.npz"),
        (HOLDEM, "no/such.npz", "cfr:small"),
        (leduc, str(tmp_path), "no checkpoint at"),
        (leduc, str(tmp_path / "half.npz"), "damaged"),
        (leduc, str(tmp_path / "run.npz"), "no strategy to play"),
        (HOLDEM, str(tmp_path / "cards.npz"), "card buckets that this version computes otherwise"),
        (HOLDEM, str(tmp_path / "tree.npz"), "no whole hold'em strategy"),
        (leduc, str(OPPONENTS / "kuhn.npz"), "is a strategy for kuhn, not for leduc"),
        (make_game("holdem"), "weak", "use --game holdem:small_blind=50,big_blind=100,stack=2000, or solve"),
        (make_game("holdem:stack=10000"), None, "not for holdem:.*stack=10000"),
        (make_game("holdem:small_blind=100,big_blind=200"), "small", "not for holdem:small_blind=100"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            load_cfr_player(game, argument)
        assert "\n" not in str(caught.value)
