"""Decisions into training rows: nothing of them gets lost, and none is favoured."""

from collections import Counter
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.training.rows import LEAST_CHANCE, Row, _chances, levelled, merge, spared, to_trl, training_rows

credits_of_two = st.tuples(st.floats(-100, 100), st.floats(-100, 100))
decisions = st.lists(
    st.builds(lambda prompt, answer, credit: Row((prompt, 7), (answer,) * (1 + answer), credit), st.integers(0, 3),
              st.integers(0, 2), credits_of_two),
    max_size=30,
)  # fmt: skip


class InOrder:
    """Stands in for a random generator: its permutation is known."""

    def __init__(self, order):
        self.order = order

    def permutation(self, count):
        assert count == len(self.order)
        return np.array(self.order, dtype=int)


def fit(decisions, count, rng=None, scale=False, weights=(1.0, 2.0)):
    """Training rows of decisions; a lone row is a decision, too."""
    return training_rows(
        [[decision] if isinstance(decision, Row) else decision for decision in decisions],
        count,
        weights=weights,
        scale=scale,
        pad_token_id=99,
        rng=rng or np.random.default_rng(0),
    )[0]


@given(decisions)
def test_merging_keeps_the_number_of_decisions_and_their_summed_credit(decisions):
    merged = merge(decisions)
    keys = [(row.prompt_ids, row.completion_ids) for row in merged]
    assert len(set(keys)) == len(keys) and set(keys) == {(row.prompt_ids, row.completion_ids) for row in decisions}
    for row in merged:
        alike = [d for d in decisions if (d.prompt_ids, d.completion_ids) == (row.prompt_ids, row.completion_ids)]
        assert row.decisions == len(alike)
        assert row.credit == pytest.approx(np.sum([d.credit for d in alike], axis=0))
    assert [(row.prompt_ids, row.decisions) for row in merge(merged)] == [
        (row.prompt_ids, row.decisions) for row in merged
    ]


@given(decisions, st.integers(2, 16), st.integers(0, 5))
def test_any_decisions_make_any_number_of_rows_whose_credit_sums_to_zero(decisions, count, seed):
    rows = fit(decisions, count, np.random.default_rng(seed))
    trained = [row for row in rows if row.decisions]
    assert len(rows) == count and len(trained) < count
    assert all((row.prompt_ids, row.completion_ids) == ((99,), (99,)) for row in rows if not row.decisions)
    assert sum(row.decisions for row in trained) <= len(decisions)
    distinct = {(row.prompt_ids, row.completion_ids) for row in decisions}
    if len(distinct) < count:
        assert sum(row.decisions for row in trained) == len(decisions)
    assert np.sum(to_trl(rows)["credit"], axis=0) == pytest.approx(0, abs=1e-9)
    assert np.sum([row.credit for row in trained], axis=0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("distinct", [1, 2, 3, 4])
def test_every_decision_has_the_same_weight_on_average_however_common_its_answer(distinct):
    """Over all orders, exactly: a decision's weight is 1 / (decisions kept) when it is kept, else 0."""
    answers = [0, 0, 0, 1, 1, 2, 3]
    decisions = [Row((answer,), (answer,), (float(2**index),)) for index, answer in enumerate(answers)]
    totals, orders = dict.fromkeys(answers, Fraction(0)), list(permutations(range(len(answers))))
    for order in orders:
        rows = fit(decisions, distinct + 1, InOrder(order), weights=(1.0,))
        kept = sum(row.decisions for row in rows)
        assert sum(row.decisions > 0 for row in rows) == distinct
        for row in rows:
            if row.decisions:
                totals[row.prompt_ids[0]] += Fraction(row.decisions, kept)
    for answer, total in totals.items():
        assert total / len(orders) == Fraction(answers.count(answer), len(answers))


def test_decisions_are_left_out_from_the_first_that_does_not_fit():
    answers = [5, 5, 6, 7, 5]
    decisions = [Row((answer,), (answer,), (float(index),)) for index, answer in enumerate(answers)]
    rows = fit(decisions, 3, InOrder([4, 2, 0, 3, 1]), weights=(1.0,))
    assert [(row.prompt_ids, row.decisions) for row in rows] == [((5,), 2), ((6,), 1), ((99,), 0)]
    # Returns 4, 2 and 0 were kept, so their mean is 2.
    assert [row.credit for row in rows] == [(0.0,), (0.0,), (0.0,)]


def test_scaled_advantages_are_in_standard_deviations_of_the_weighted_return():
    decisions = [Row((1,), (1,), (1.0, 5.0)), Row((1,), (1,), (4.0, 2.0)), Row((2,), (1,), (-2.0, 0.5))]
    totals = np.array([11.0, 8.0, -1.0])
    rows = fit(decisions, 5, scale=True)
    found = [np.dot(row.credit, (1.0, 2.0)) for row in rows if row.decisions]
    advantages = (totals - 6) / (np.std(totals, ddof=1) + 1e-4)
    assert found == pytest.approx([advantages[:2].sum(), advantages[2]])


def test_trl_gets_masks_that_count_the_decisions_and_zeros_for_padding():
    output = to_trl([Row((1, 2), (3, 4, 5), (7.0, 14.0), decisions=7), Row((0,), (0,), (-1.0, -2.0), decisions=0)])
    assert output["env_mask"] == [[7, 7, 7], [0]]
    assert output["credit"] == [(1.0, 2.0), (-1.0, -2.0)]
    assert output["completion_ids"] == [[3, 4, 5], [0]] and output["logprobs"] is None


def test_a_decision_with_its_menu_keeps_its_credit_and_the_others_advantages_are_their_own():
    def decision(given, credit):
        menu = [Row((1,), (answer,), (share,), decisions=p) for answer, share, p in ((5, 3.0, 0.25), (6, -3.0, 0.75))]
        return [Row((1,), (given,), (credit,), decisions=0), *menu]

    unspelled = [Row((1,), (), (50.0,), decisions=0), *decision(5, 0.0)[1:]]
    alone = [[Row((1,), (7,), (1.0,))], [Row((1,), (7,), (4.0,))], [Row((1,), (8,), (7.0,))]]
    rows = fit([decision(5, 10.0), *alone, decision(6, 4.0), unspelled], 6, weights=(1.0,))
    found = {row.completion_ids: (row.decisions, row.credit) for row in rows if row.decisions}
    assert found == {
        (5,): (0.75, (10.0 + 9.0,)),  # as it was given, then the shares
        (6,): (2.25, (4.0 - 9.0,)),
        (7,): (2, (-3.0,)),  # less the mean of 4 of those that are alone
        (8,): (1, (3.0,)),
    }
    assert ((5,), 19.0 / 0.75) in [(ids, c) for ids, (c,) in zip(
        [tuple(ids) for ids in to_trl(rows)["completion_ids"]], to_trl(rows)["credit"], strict=True)]  # fmt: skip


def test_a_decision_is_trained_on_with_all_its_answers_or_not_at_all():
    menu = [Row((1,), (answer,), (0.0,), decisions=0.5) for answer in (5, 6)]
    alone = [Row((2,), (7,), (1.0,))]
    rows = fit([alone, [Row((1,), (5,), (1.0,), decisions=0), *menu]], 3, InOrder([0, 1]), weights=(1.0,))
    assert [row.completion_ids for row in rows] == [(7,), (99,), (99,)]


def prompts_of_unequal_weight(seed, count=40):
    """Menus of two or three answers, a few of which matter much more than all others."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        scale = 10.0 if place % 8 == 0 else 0.2 * rng.random()
        for token, chance in enumerate(rng.dirichlet([1.0] * (2 + place % 2))):
            credit = tuple((scale * rng.normal(size=2)).tolist())
            logps = float(np.log(chance)), 0.0
            rows.append(Row((place, 7), (token, 99), credit, decisions=float(3 * chance), logps=logps))
    return rows


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_what_a_share_of_the_prompts_adds_up_to_is_what_all_do_on_average(share):
    rows = prompts_of_unequal_weight(0)
    index = {(row.prompt_ids, row.completion_ids): place for place, row in enumerate(rows)}
    sums, squares, kept, draws = np.zeros((len(rows), 3)), np.zeros((len(rows), 3)), [], 4000
    for seed in range(draws):
        found = spared(rows, share, (1.0, 2.0), np.random.default_rng(seed))
        drawn = np.zeros_like(sums)
        for row in found:
            drawn[index[row.prompt_ids, row.completion_ids]] = (*row.credit, row.decisions)
        sums, squares = sums + drawn, squares + drawn**2
        kept.append(len({row.prompt_ids for row in found}) / 40)
    mean = sums / draws
    error = np.sqrt(np.maximum(0, squares / draws - mean**2) / draws)
    expected = np.array([(*row.credit, row.decisions) for row in rows])
    assert (np.abs(mean - expected) <= 4.5 * error + 1e-9).all()
    assert np.mean(kept) == pytest.approx(share, abs=0.01)


def test_a_share_keeps_whole_prompts_and_those_that_matter_most():
    rows = prompts_of_unequal_weight(1)
    answers = Counter(row.prompt_ids for row in rows)
    for seed in range(20):
        found = spared(rows, 0.3, (1.0, 0.0), np.random.default_rng(seed))
        assert all(answers[prompt] == count for prompt, count in Counter(row.prompt_ids for row in found).items())
        of = {(row.prompt_ids, row.completion_ids): row for row in rows}
        for row in found:
            whole = of[row.prompt_ids, row.completion_ids]
            times = row.decisions / whole.decisions
            assert 1 <= times <= 1 / (LEAST_CHANCE * 0.3) + 1e-9
            assert row.credit == pytest.approx([times * credit for credit in whole.credit])
    matters = np.array([0.1, 5.0, 0.0, 0.1, 0.1])
    assert _chances(matters, 0.4).tolist() == pytest.approx([0.3, 1.0, 0.1, 0.3, 0.3])


def test_the_whole_share_changes_nothing():
    rows = prompts_of_unequal_weight(2)
    assert spared(rows, 1.0, (1.0, 1.0), np.random.default_rng(0)) == rows
    assert spared([], 0.5, (1.0, 1.0), np.random.default_rng(0)) == []


@pytest.mark.parametrize("power", [0.0, 0.5, 0.8])
def test_prompts_weigh_their_visits_to_a_power(power):
    """All rows of a prompt alike, so that what its answers are credited with per decision stays."""
    visits = {1: 400.0, 2: 9.0, 3: 0.25}
    rows = [
        Row((prompt,), (answer,), (count * answer, -count), decisions=share * count)
        for prompt, count in visits.items()
        for answer, share in ((5, 0.75), (6, 0.25), (7, 0.0))  # the last stands for none
    ]
    found = levelled(rows, power)
    weights = {prompt: sum(row.decisions for row in found if row.prompt_ids == (prompt,)) for prompt in visits}
    powers = {prompt: count**power for prompt, count in visits.items()}
    assert sum(weights.values()) == pytest.approx(sum(visits.values()))
    for prompt, weight in weights.items():
        assert weight / weights[1] == pytest.approx(powers[prompt] / powers[1])
    for row, before in zip(found, rows, strict=True):
        times = weights[row.prompt_ids[0]] / visits[row.prompt_ids[0]]
        assert row.decisions == pytest.approx(times * before.decisions)
        assert row.credit == pytest.approx([times * credit for credit in before.credit])
        assert (row.prompt_ids, row.completion_ids) == (before.prompt_ids, before.completion_ids)


def test_the_first_power_changes_nothing():
    rows = [*prompts_of_unequal_weight(4), Row((99,), (1,), (2.0, 1.0), decisions=0)]
    assert levelled(rows, 1.0) == rows and levelled([], 0.5) == []
    assert levelled(rows, 0.5)[-1] == rows[-1]  # a prompt that stands for nothing


def test_an_epoch_levels_what_is_merged():
    decisions = [[Row((prompt,), (5, 6), (1.0,))] for prompt, count in ((1, 16), (2, 4)) for _ in range(count)]
    options = {"weights": (1.0,), "scale": False, "pad_token_id": 0, "rng": np.random.default_rng(0)}
    rows, tokens, decided = training_rows(decisions, 8, power=0.5, **options)
    assert (tokens, decided) == pytest.approx((40, 20))
    assert {row.prompt_ids: row.decisions for row in rows if row.decisions} == pytest.approx(
        {(1,): 40 / 3, (2,): 20 / 3}
    )


def test_rows_tell_the_tokens_of_all_they_stand_for():
    decisions = [[row] for row in prompts_of_unequal_weight(3)]
    options = {"weights": (1.0, 1.0), "scale": False, "pad_token_id": 0, "rng": np.random.default_rng(0)}
    rows, tokens, decided = training_rows(decisions, 200, share=0.3, **options)
    assert (tokens, decided) == pytest.approx((2 * 40 * 3, 40 * 3))
    assert len(rows) == 200 and sum(1 for row in rows if row.decisions) < 60
    assert to_trl(rows, None, tokens)["stood_for"] == [tokens] * 200
