"""OpenSpiel against pokerkit on random hands, and hands exported for pokerkit to read back."""

import multiprocessing
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit import HandHistory, Mode, NoLimitTexasHoldem, State
from pokerkit_hands import AUTOMATIONS

from poker_env.errors import UserError
from poker_env.games import Deal, Game, make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.histories import phh, pokerstars
from poker_env.state import HandState, Move
from poker_env.table import play

STAKES = [
    Game("holdem", small_blind=50, big_blind=100, stack=20_000),
    Game("holdem", small_blind=50, big_blind=100, stack=101),
    Game("holdem", small_blind=50, big_blind=100, stack=250),
    Game("holdem", small_blind=7, big_blind=13, stack=1_237),
    Game("holdem", small_blind=1, big_blind=2, stack=99),
    Game("holdem", small_blind=1, big_blind=300, stack=4_001),
    Game("holdem", small_blind=33, big_blind=33, stack=1_000),
]
BATCH = 500


def new_state(game: Game) -> State:
    """Pokerkit's state before any card is dealt.

    It lists blinds small first, even though its first player posts the big one. Of equal blinds it would let the big
    blind open; a negative one is paid, too, but doesn't count for the order.
    """
    small_blind = -game.small_blind if game.small_blind == game.big_blind else game.small_blind
    return NoLimitTexasHoldem(
        AUTOMATIONS,
        ante_trimming_status=False,
        raw_antes=0,
        raw_blinds_or_straddles=(small_blind, game.big_blind),
        min_bet=game.big_blind,
        mode=Mode.CASH_GAME,
    )((game.stack, game.stack), 2)


def deal_cards(state: State, hand: Hand) -> None:
    """Deal whatever cards are due."""
    while True:
        if state.can_burn_card():
            state.burn_card("??")
        elif state.can_deal_hole():
            state.deal_hole("".join(hand.hole[state.hole_dealee_index or 0]))
        elif state.can_deal_board():
            dealt = sum(map(len, state.board_cards))
            state.deal_board("".join(hand.board[dealt : dealt + (3 if dealt == 0 else 1)]))
        else:
            return


def apply_move(state: State, move: Move | None) -> None:
    """Let the player to act make a move (None, an answer that named no legal action, is a fold)."""
    if move is None or move.kind == "fold":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is no reason for this player to fold")
            state.fold()
    elif move.kind in ("check", "call"):
        state.check_or_call()
    else:
        state.complete_bet_or_raise_to(move.to - chips_of_earlier_streets(state, move.seat))


def chips_of_earlier_streets(state: State, seat: int) -> int:
    """What a seat had put in before this street: pokerkit's amounts are per street, `Move.to` is over the hand."""
    return int(state.starting_stacks[seat] - state.stacks[seat] - state.bets[seat])


def random_action(state: HandState, rng: np.random.Generator) -> int | None:
    """Fold, check, call, or raise by the minimum, a random amount or everything; rarely no legal action at all."""
    observation = state.observe()
    smallest, stack = observation.min_raise_to, observation.game.stack
    actions = [1, 1, 1, None if rng.random() < 0.05 else 1]
    if observation.to_call:
        actions.append(0)
    if smallest is not None:
        spread = int(smallest * (stack / smallest) ** rng.random())
        actions += [smallest, smallest, min(spread, stack), int(rng.integers(smallest, stack + 1))]
        actions += [stack] if rng.random() < 0.3 else []
    return actions[rng.integers(len(actions))]


def play_in_both(game: Game, deal: Deal, rng: np.random.Generator) -> None:
    """One random hand in both engines in step; they must agree at every decision and at the end."""
    ours = HandState(game, deal)
    theirs = new_state(game)
    shown = Hand(game, deal, 0, (), (ours.hole(0), ours.hole(1)), ours.cards[4:], 0.0, False)
    while not ours.done:
        deal_cards(theirs, shown)
        observation = ours.observe()
        earlier = chips_of_earlier_streets(theirs, observation.seat)
        raise_to = theirs.min_completion_betting_or_raising_to_amount
        assert theirs.actor_index == observation.seat
        assert theirs.total_pot_amount == observation.pot
        assert theirs.checking_or_calling_amount == observation.to_call
        assert (None if raise_to is None else raise_to + earlier) == observation.min_raise_to
        action = random_action(ours, rng)
        if action is None:
            ours.forfeit()
            apply_move(theirs, None)
        else:
            apply_move(theirs, ours.apply(action))
    deal_cards(theirs, shown)
    assert not theirs.status
    assert tuple(theirs.payoffs) == ours.payoffs
    assert sum(ours.payoffs) == 0 and max(ours.payoffs) <= game.stack
    assert sum(theirs.stacks) == 2 * game.stack


def play_batch(seed: int) -> int:
    """`BATCH` random hands at random stakes."""
    rng = np.random.default_rng(seed)
    for index in range(BATCH):
        game = STAKES[rng.integers(len(STAKES))]
        deal = make_deals(game, 1, seed, start=index)[0]
        try:
            play_in_both(game, deal, rng)
        except Exception as error:
            raise AssertionError(f"seed {seed}, hand {index}, {game}, {deal}") from error
    return BATCH


@pytest.mark.parametrize("seed", range(6))
def test_openspiel_and_pokerkit_agree(seed):
    assert play_batch(seed) == BATCH


@pytest.mark.slow
def test_openspiel_and_pokerkit_agree_on_100_000_hands():
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        assert sum(pool.imap_unordered(play_batch, range(1_000, 1_200))) == 100_000


class Chaos:
    """Random actions for the table."""

    name = "chaos"

    def act(self, observations):
        answers = []
        for observation in observations:
            choices = [1, 1, None]
            choices += [0] if observation.to_call else []
            if observation.min_raise_to is not None:
                choices += [observation.min_raise_to, observation.min_raise_to, observation.game.stack]
            answers.append(Answer(choices[int(observation.coin * len(choices))]))
        return answers


def payoffs_in_pokerkit(history: HandHistory) -> list[int]:
    """By seat, at the end of a hand that pokerkit has read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pokerkit warns of folds where checking was free
        final = list(history)[-1]
    assert not final.status
    return final.payoffs


def read_pokerstars(text: str) -> list[HandHistory]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return list(HandHistory.from_pokerstars(text, error_status=True))


def chaotic_hands(game: Game, count: int = 40, seed: int = 5) -> list[Hand]:
    hands = play(game, make_deals(game, count, seed), Chaos(), Chaos())
    assert any(not hand.decisions[-1].legal for hand in hands)
    assert any(hand.showdown for hand in hands)
    return hands


@pytest.mark.parametrize("game", STAKES, ids=str)
def test_phh_is_read_back_to_the_same_payoffs(game):
    for hand in chaotic_hands(game):
        history = HandHistory.loads(phh.to_phh(hand, hero="Ann", villain="Bob"))
        payoffs = payoffs_in_pokerkit(history)
        assert (payoffs[hand.hero_seat], payoffs[1 - hand.hero_seat]) == (hand.payoff, -hand.payoff)
        assert (history.players[hand.hero_seat], history.players[1 - hand.hero_seat]) == ("Ann", "Bob")


def test_any_name_is_read_back_from_phh():
    names = 'llm:/tmp/😀/\x7f\x00"\\', "é\n"
    for hand in chaotic_hands(STAKES[0])[:2]:
        assert set(HandHistory.loads(phh.to_phh(hand, *names)).players) == set(names)


def test_a_file_of_many_hands_in_phh(tmp_path):
    hands = chaotic_hands(STAKES[0])
    names = {"hero": 'A"\\nn ♠', "villain": "cfr:a'b''c"}
    phh.write_phhs(tmp_path / "new" / "hands.phhs", hands, **names)
    with (tmp_path / "new" / "hands.phhs").open("rb") as file:
        histories = list(HandHistory.load_all(file))
    for history, hand in zip(histories, hands, strict=True):
        assert payoffs_in_pokerkit(history)[hand.hero_seat] == hand.payoff
        assert history.players[hand.hero_seat] == names["hero"]
        assert history.players[1 - hand.hero_seat] == names["villain"]


# Of equal blinds pokerkit's parser lets the big blind open; no text could tell it otherwise.
UNEQUAL_BLINDS = [game for game in STAKES if game.small_blind < game.big_blind]


@pytest.mark.parametrize("game", UNEQUAL_BLINDS, ids=str)
def test_pokerstars_text_is_read_back_to_the_same_payoffs(game, tmp_path):
    hands = chaotic_hands(game)
    pokerstars.write_pokerstars(tmp_path / "hands.txt", hands, hero="Ann", villain="Bob")
    histories = read_pokerstars((tmp_path / "hands.txt").read_text())
    for number, (history, hand) in enumerate(zip(histories, hands, strict=True), start=1):
        payoffs = payoffs_in_pokerkit(history)
        assert (payoffs[hand.hero_seat], payoffs[1 - hand.hero_seat]) == (hand.payoff, -hand.payoff)
        assert (history.players[hand.hero_seat], history.hand) == ("Ann", number)
        dealt = [action.removeprefix("d db ") for action in history.actions if action.startswith("d db ")]
        assert "".join(dealt) == "".join(hand.board)
        assert f"d dh p{hand.hero_seat + 1} {''.join(hand.hole[hand.hero_seat])}" in history.actions


@settings(max_examples=60, deadline=None)
@given(game=st.sampled_from(UNEQUAL_BLINDS), seed=st.integers(0, 2**32))
def test_both_formats_of_any_hand(game, seed):
    for hand in play(game, make_deals(game, 2, seed), Chaos(), Chaos()):
        (read,) = read_pokerstars(pokerstars.to_pokerstars(hand))
        for history in (read, HandHistory.loads(phh.to_phh(hand))):
            assert payoffs_in_pokerkit(history)[hand.hero_seat] == hand.payoff


def test_a_hand_in_pokerstars_words():
    game = STAKES[0]
    cards = ["7c", "2d", "As", "Ah", "Kh", "7d", "2c", "9s", "3h"]
    deck = [game.cards.index(card) for card in cards]
    answers = {0: 300, 1: 900, 2: 1, 3: 1200, 4: 4800, 5: 20_000, 6: 0}

    def act(observations):
        return [Answer(answers[len(observation.moves)]) for observation in observations]

    player = SimpleNamespace(name="script", act=act)
    hand = play(game, [Deal(tuple(deck), hero_seat=1, seed=0)], player, player)[0]
    assert pokerstars.to_pokerstars(hand, number=61, hero="Ann", villain="Bob").splitlines() == [
        "PokerStars Hand #61:  Hold'em No Limit ($50/$100 USD) - 2000/01/01 01:00:00 ET",
        "Table 'Exploitative' 2-max Seat #2 is the button",
        "Seat 1: Bob ($20000 in chips)",
        "Seat 2: Ann ($20000 in chips)",
        "Ann: posts small blind $50",
        "Bob: posts big blind $100",
        "*** HOLE CARDS ***",
        "Dealt to Ann [As Ah]",
        "Ann: raises $200 to $300",
        "Bob: raises $600 to $900",
        "Ann: calls $600",
        "*** FLOP *** [Kh 7d 2c]",
        "Bob: bets $300",
        "Ann: raises $3600 to $3900",
        "Bob: raises $15200 to $19100 and is all-in",
        "Ann: folds",
        "Uncalled bet ($15200) returned to Bob",
        "Bob collected $9600 from pot",
        "Bob: doesn't show hand",
        "*** SUMMARY ***",
        "Total pot $9600 | Rake $0",
        "Board [Kh 7d 2c]",
        "Seat 1: Bob (big blind) collected ($9600)",
        "Seat 2: Ann (button) (small blind) folded on the Flop",
    ]


@pytest.mark.parametrize("write", [phh.to_phh, pokerstars.to_pokerstars])
def test_other_games_are_refused(write):
    kuhn = make_game("kuhn")
    hand = play(kuhn, make_deals(kuhn, 1, seed=0), Passive(), Passive())[0]
    with pytest.raises(UserError, match="kuhn"):
        write(hand)


@pytest.mark.parametrize(
    ("hole", "board", "words"),
    [
        ("As Ks", "Qs Js Ts 2d 2c", "a Royal Flush"),
        ("9s Ks", "Qs Js Ts 2d 2c", "a straight flush, Nine to King"),
        ("Ac 2c", "3c 4c 5c Kd Kh", "a straight flush, Ace to Five"),
        ("6s 6h", "6d 6c Ts 2d 2c", "four of a kind, Sixes"),
        ("As Ah", "Ad 6c 6s 2d 2c", "a full house, Aces full of Sixes"),
        ("Ts 2s", "5s 6s 9s 2d 2c", "a flush, Ten high"),
        ("As 2h", "3d 4c 5s Kd Kc", "a straight, Ace to Five"),
        ("As Kh", "Qd Jc Ts 2d 2c", "a straight, Ten to Ace"),
        ("2s 2h", "2d Jc Ts Ad 9c", "three of a kind, Deuces"),
        ("As Kh", "Ad Kc Ts 2d 2c", "two pair, Aces and Kings"),
        ("As 6h", "6d Kc Ts 2d 3c", "a pair of Sixes"),
        ("As 7h", "6d Kc Ts 2d 3c", "high card Ace"),
    ],
)
def test_made_hands_in_words(hole, board, words):
    assert pokerstars.made_hand(hole.split(), board.split()) == words


class Passive:
    """Always OpenSpiel's action 0."""

    name = "passive"

    def act(self, observations):
        return [Answer(0) for _ in observations]
