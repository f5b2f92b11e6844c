import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.canonical import canonical_boards
from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, PREFLOP_CLASSES, hand_value, holding_index
from poker_env.cards.rank_tables import flush_values, rank_values
from poker_env.cfr.abstraction.bucket_tables import BucketTables, deal_buckets
from poker_env.cfr.abstraction.card_abstraction import NO_BUCKET, Abstraction, all_river_levels, build_abstraction
from poker_env.cfr.abstraction.features import N_GROUPS, N_LEVELS, N_RIVER_AXES, UNIT, hand_point, river_points
from poker_env.errors import UserError


def deals(rng, count):
    """Nine different cards a row."""
    return np.argsort(rng.random((count, 52)), axis=1)[:, :9]


ONE_GROUP = np.zeros(N_HOLDINGS, np.uint8)


def point_of(hole, board, groups=ONE_GROUP):
    """A hand's point, from the cards."""
    point = np.empty(N_RIVER_AXES if len(board) == 5 else N_LEVELS, np.int32)
    hand_point(hole, board, groups, rank_values(), flush_values(), point)
    return point


@pytest.fixture(scope="module")
def abstraction():
    """Centroids that lie among real hands' points, without the time that k-means takes."""
    rng = np.random.default_rng(0)
    groups = (np.arange(169) % N_GROUPS).astype(np.uint8)
    streets = []
    for n_board, k in ((3, 50), (4, 60)):
        points = np.empty((k, N_LEVELS), np.int32)
        for point, cards in zip(points, deals(rng, k), strict=True):
            point[:] = point_of(cards[:2], cards[2 : 2 + n_board])
        streets.append(points.astype(np.int16))
    points = np.zeros((N_HOLDINGS, N_RIVER_AXES), np.int32)
    river_points(deals(rng, 1)[0, :5], groups[PREFLOP_CLASSES], points)
    streets.append(points[points.any(axis=1)][::10].astype(np.int16))
    return Abstraction(tuple(street[street.sum(axis=1).argsort()] for street in streets), groups)


@pytest.fixture(scope="module")
def levels():
    return all_river_levels()


@pytest.fixture(scope="module")
def made_up_tables():
    """Every entry tells its own board and holding apart from the neighbours'."""
    arrays = []
    for n_board in (3, 4, 5):
        keys = canonical_boards(n_board).keys
        rows, holdings = np.arange(len(keys)).astype(np.uint16), np.arange(N_HOLDINGS).astype(np.uint16)
        arrays += [keys, np.add.outer(rows * np.uint16(7919), holdings * np.uint16(31)) % np.uint16(60_013)]
    return BucketTables(tuple(arrays))


def results_against_all(hole, board):
    """Half-wins and opponents against every other holding, by comparing hands one by one."""
    dead = {*hole, *board}
    mine = hand_value(np.concatenate([hole, board]))
    results = {}
    for row, other in enumerate(HOLDINGS):
        if not dead & set(other.tolist()):
            theirs = hand_value(np.concatenate([other, board]))
            results[row] = 2 * (mine > theirs) + (mine == theirs)
    return results


@pytest.mark.parametrize("seed", range(3))
def test_a_turn_point_is_the_share_of_rivers_that_reach_each_level(seed):
    hole, board = np.split(deals(np.random.default_rng(seed), 1)[0, :6], [2])
    rivers = set(range(52)) - {*hole.tolist(), *board.tolist()}
    half_wins = [sum(results_against_all(hole, np.append(board, river)).values()) for river in rivers]
    reached = [sum(33 * wins >= level * 1981 for wins in half_wins) for level in range(1, 33)]
    assert point_of(hole, board).tolist() == [UNIT * count // 46 for count in reached]


@pytest.mark.parametrize("seed", range(3))
def test_a_river_point_is_the_equity_against_each_group_and_against_all(seed):
    hole, board = np.split(deals(np.random.default_rng(seed), 1)[0, :7], [2])
    groups = np.random.default_rng(seed).integers(0, N_GROUPS, 169)[PREFLOP_CLASSES].astype(np.uint8)
    points = np.zeros((N_HOLDINGS, N_RIVER_AXES), np.int32)
    river_points(board, groups, points)
    results = results_against_all(hole, board)
    for group in range(N_GROUPS):
        mine = [result for holding, result in results.items() if groups[holding] == group]
        assert points[holding_index(*hole), group] == UNIT // 8 * sum(mine) // (2 * len(mine))
    assert points[holding_index(*hole)].tolist() == point_of(hole, board, groups).tolist()
    assert points[holding_index(*hole), N_GROUPS] == UNIT * sum(results.values()) // (2 * len(results))


def test_a_group_that_is_blocked_counts_as_a_random_opponent():
    groups = np.zeros(N_HOLDINGS, np.uint8)
    aces = holding_index(50, 51)
    groups[aces] = 7  # alone in its group, so it never meets it
    points = np.zeros((N_HOLDINGS, N_RIVER_AXES), np.int32)
    river_points(np.array([0, 5, 18, 23, 28]), groups, points)
    assert points[aces, 7] == points[aces, 0]
    assert points[aces].tolist() == point_of(np.array([50, 51]), np.array([0, 5, 18, 23, 28]), groups).tolist()


@pytest.mark.parametrize("n_board", [0, 3, 4, 5])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), naming=st.permutations(range(4)))
def test_buckets_ignore_the_order_of_cards_and_the_names_of_suits(abstraction, n_board, seed, naming):
    rng = np.random.default_rng(seed)
    cards = deals(rng, 1)[0, : 2 + n_board]
    other = np.array([card & ~3 | naming[card & 3] for card in cards])
    other = np.concatenate([rng.permutation(other[:2]), rng.permutation(other[2:])])
    fresh = Abstraction(abstraction.centroids, abstraction.groups)  # nothing in its cache
    bucket = abstraction.lookup(cards[None, :2], cards[None, 2:])
    assert fresh.lookup(other[None, :2], other[None, 2:]) == bucket
    assert fresh.lookup_range(other[2:])[holding_index(*other[:2])] == bucket


def test_points_do_not_depend_on_the_names_of_suits(abstraction):
    """Before any renaming to canonical suits: the numbers themselves are the same."""
    for cards in deals(np.random.default_rng(1), 5):
        points = set()
        for naming in itertools.permutations(range(4)):
            other = np.array([card & ~3 | naming[card & 3] for card in cards])
            point = point_of(other[:2], other[2:6])
            river = np.empty((N_HOLDINGS, N_RIVER_AXES), np.int32)
            river_points(other[2:7], abstraction.groups[PREFLOP_CLASSES], river)
            points.add((*point, *river[holding_index(*other[:2])]))
        assert len(points) == 1


@pytest.mark.parametrize(("n_board", "step", "per_board"), [(3, 1, 1), (4, 100, 20), (5, 500, 20)])
def test_tables_and_play_agree(abstraction, levels, n_board, step, per_board):
    """Tables read the run-outs' equities from all canonical rivers; play ranks hands from the cards."""
    boards = canonical_boards(n_board).cards[::step]
    table = np.empty((len(boards), N_HOLDINGS), np.uint16)
    abstraction.fill_table(boards, table, levels)
    assert (abstraction.lookup_range(boards[7]) == np.where(table[7] == NO_BUCKET, -1, table[7].astype(int))).all()
    rng = np.random.default_rng(0)
    picks = [(row, holding) for row in range(len(boards)) for holding in rng.integers(0, N_HOLDINGS, per_board)]
    rows, holdings = np.array([pick for pick in picks if table[pick] != NO_BUCKET]).T
    assert (abstraction.lookup(HOLDINGS[holdings], boards[rows]) == table[rows, holdings]).all()
    blocked = (HOLDINGS[None, :, :, None] == boards[:, None, None, :]).any(axis=(2, 3))
    assert ((table == NO_BUCKET) == blocked).all()


def test_deal_buckets_reads_what_lookup_reads(made_up_tables):
    out = np.empty((2, 4), np.int32)
    for cards in deals(np.random.default_rng(2), 200):
        deal_buckets(made_up_tables.arrays, cards, out)
        for seat, n_board in itertools.product((0, 1), (0, 3, 4, 5)):
            hole, board = cards[2 * seat : 2 * seat + 2], cards[4 : 4 + n_board]
            bucket = made_up_tables.lookup(hole[None], board[None])[0]
            assert out[seat, max(0, n_board - 2)] == bucket
            assert made_up_tables.lookup_range(board)[holding_index(*hole)] == bucket


def test_arrays_round_trip_and_the_digest_tells_abstractions_apart(abstraction):
    again = Abstraction.from_arrays(abstraction.to_arrays())
    assert again.digest == abstraction.digest
    assert again.buckets_per_street == abstraction.buckets_per_street == (169, 50, 60, len(abstraction.centroids[2]))
    changed = {name: array.copy() for name, array in abstraction.to_arrays().items()}
    changed["turn"][3, 4] += 1
    assert Abstraction.from_arrays(changed).digest != abstraction.digest


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("turn", None),
        ("flop", np.zeros((5, 7), np.int16)),
        ("river", np.zeros((5, N_RIVER_AXES), np.float32)),
        ("river", np.zeros((0, N_RIVER_AXES), np.int16)),
        ("river", np.zeros((5, N_GROUPS), np.int16)),
        ("groups", np.full(169, N_GROUPS, np.uint8)),
        ("turn", np.full((5, N_LEVELS), -1, np.int16)),
        ("flop", np.zeros((5, N_LEVELS), np.int16) + np.arange(5, 0, -1, dtype=np.int16)[:, None]),
    ],
)
def test_arrays_of_something_else_are_refused(abstraction, name, array):
    arrays = abstraction.to_arrays()
    arrays.pop(name)
    if array is not None:
        arrays[name] = array
    with pytest.raises(UserError, match=name):
        Abstraction.from_arrays(arrays)


@pytest.mark.parametrize("buckets", [(100, 8, 8, 8), (169, 8, 8), (169, 0, 8, 8), (169, 8, 8, 60_001)])
def test_impossible_numbers_of_buckets_are_refused_before_any_work(buckets):
    with pytest.raises(UserError, match="buckets"):
        build_abstraction(buckets)


def test_tables_that_cannot_be_kept_are_refused_before_any_work(abstraction, tmp_path):
    (tmp_path / "buckets").write_text("a file where the directory should be")
    with pytest.raises(UserError, match="bucket tables"):
        BucketTables.build(abstraction, tmp_path)


@pytest.mark.slow
def test_built_tables_agree_with_play_on_every_flop_and_a_million_turns_and_rivers(tmp_path):
    """Also: the same seed builds the same abstraction, and tables are built once."""
    abstraction = build_abstraction((169, 200, 200, 200), seed=1)
    tables = BucketTables.build(abstraction, tmp_path)
    files = sorted((tmp_path / "buckets").glob("[!.]*"))
    written = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 3
    tables = BucketTables.build(build_abstraction((169, 200, 200, 200), seed=1), tmp_path)
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "buckets").glob("[!.]*"))] == written
    for board in canonical_boards(3).cards:
        assert (abstraction.lookup_range(board) == tables.lookup_range(board)).all()
    rng = np.random.default_rng(0)
    for n_board in (4, 5):
        for _ in range(11):
            cards = deals(rng, 100_000)
            holes, boards = cards[:, :2], cards[:, 2 : 2 + n_board]
            assert (abstraction.lookup(holes, boards) == tables.lookup(holes, boards)).all()
