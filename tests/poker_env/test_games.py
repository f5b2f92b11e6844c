"""Games by spec, what users get wrong in one, and deals that depend on a seed and a number alone."""

from collections import Counter

import pytest

from poker_env.errors import UserError
from poker_env.games import DEFAULTS, Deal, Game, complete_deck, make_deals, make_game
from poker_env.state import HandState

HOLDEM = make_game("holdem")


def test_names_give_the_default_stakes():
    assert make_game("holdem") == Game("holdem", small_blind=50, big_blind=100, stack=20_000)
    assert [make_game(name) for name in DEFAULTS] == list(DEFAULTS.values())


def test_parameters_in_any_order_and_number():
    assert make_game("holdem:stack=1000") == Game("holdem", 50, 100, 1_000)
    assert make_game("holdem:big_blind=4,stack=9,small_blind=1") == Game("holdem", 1, 4, 9)


@pytest.mark.parametrize("spec", ["kuhn", "leduc", "holdem", "holdem:small_blind=1,big_blind=2,stack=77"])
def test_a_game_reads_as_its_spec(spec):
    assert make_game(str(make_game(spec))) == make_game(spec)


@pytest.mark.parametrize(
    ("spec", "mentions"),
    [
        ("", "unknown game ''"),
        ("omaha", "omaha"),
        ("Holdem", "kuhn, leduc, holdem"),
        ("holdem:ante=5", "ante"),
        ("kuhn:stack=100", "stack"),
        ("holdem:stack", "''"),
        ("holdem:stack=", "''"),
        ("holdem:stack=many", "many"),
        ("holdem:stack=100.5", "100.5"),
        ("holdem:stack=-500", "-500"),
        ("holdem:stack=1e4", "1e4"),
        ("holdem:stack=5²", "5²"),
        ("holdem:stack=" + "9" * 5_000, "99999"),
        ("holdem:stack=4000000000", "4000000000"),
        ("holdem:stack=100", "100"),
        ("holdem:stack=99", "big blind of 100"),
        ("holdem:big_blind=20000", "20000"),
        ("holdem:small_blind=0", "0/100"),
        ("holdem:small_blind=101", "101/100"),
    ],
)
def test_user_errors_are_one_line_with_the_value(spec, mentions):
    with pytest.raises(UserError) as caught:
        make_game(spec)
    message = str(caught.value)
    assert mentions in message
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("spec", ["holdem:stack=101", "holdem:small_blind=7,big_blind=7", "holdem:stack=999999999"])
def test_extreme_stakes_can_be_played(spec):
    game = make_game(spec)
    hand = HandState(game, make_deals(game, 1, 0)[0])
    for action in (game.stack, 1):
        hand.apply(action)
    assert hand.done
    assert sum(hand.payoffs) == 0


@pytest.mark.parametrize("name", DEFAULTS)
def test_deals_depend_on_seed_and_number_alone(name):
    game = make_game(name)
    deals = make_deals(game, 60, seed=5)
    assert deals == make_deals(game, 60, seed=5)
    assert make_deals(game, 20, seed=5, start=23) == deals[23:43]
    assert [deal for start in range(0, 60, 7) for deal in make_deals(game, min(7, 60 - start), 5, start)] == deals
    assert [deal.seed for deal in make_deals(game, 60, seed=6)] != [deal.seed for deal in deals]


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_deck_has_distinct_cards_of_the_game_and_just_enough(name):
    game = make_game(name)
    for deal in make_deals(game, 50, seed=0):
        assert len(deal.deck) == len(set(deal.deck)) == game.deck_length
        assert set(deal.deck) <= set(range(len(game.cards)))


def test_every_card_comes_up_in_every_place():
    """Chi-square against the uniform: 51 degrees of freedom, 99.9 % of the mass is under 87."""
    deals = make_deals(HOLDEM, 5_200, seed=1)
    for place in range(HOLDEM.deck_length):
        counts = Counter(deal.deck[place] for deal in deals)
        assert sum((counts[card] - 100) ** 2 / 100 for card in range(52)) < 87


def test_hero_alternates_seats_and_no_seed_repeats():
    deals = make_deals(HOLDEM, 100, seed=2)
    assert [deal.hero_seat for deal in deals] == [0, 1] * 50
    assert [deal.hero_seat for deal in make_deals(HOLDEM, 4, seed=2, start=7)] == [1, 0, 1, 0]
    assert len({deal.seed for deal in deals}) == 100


def test_swapped_moves_hero_and_nothing_else():
    deal = make_deals(HOLDEM, 1, seed=3)[0]
    swapped = deal.swapped()
    assert swapped == Deal(deal.deck, 1 - deal.hero_seat, deal.seed)
    assert swapped.swapped() == deal
    assert HandState(HOLDEM, swapped).cards == HandState(HOLDEM, deal).cards


def test_cards_are_named_as_openspiel_names_them():
    for deal in make_deals(HOLDEM, 20, seed=4):
        hand = HandState(HOLDEM, deal)
        spiel = HOLDEM.spiel.new_initial_state()
        for card in deal.deck[:4]:
            spiel.apply_action(card)
        for card in hand.hole(0):
            assert card in spiel.to_struct().player_hands[0]
        for card in hand.hole(1):
            assert card in spiel.to_struct().player_hands[1]


@pytest.mark.parametrize("name", ["kuhn", "leduc", "holdem"])
@pytest.mark.parametrize("shown", [(True, True), (True, False), (False, True), (False, False)])
def test_a_deck_is_completed_by_cards_that_are_not_known(name, shown):
    game = make_game(name)
    for deal in make_deals(game, 20, seed=3):
        each = (game.deck_length - game.board_cards[-1]) // 2
        holes, board = (deal.deck[:each], deal.deck[each : 2 * each]), deal.deck[2 * each :]
        for seen in game.board_cards:
            known = tuple(hole if show else () for hole, show in zip(holes, shown, strict=True))
            deck = complete_deck(game, known, board[:seen])
            assert len(set(deck)) == len(deck) == game.deck_length and set(deck) <= set(range(len(game.cards)))
            assert deck[2 * each :][:seen] == board[:seen]
            for seat, hole in enumerate(known):
                assert not hole or deck[seat * each :][:each] == hole
