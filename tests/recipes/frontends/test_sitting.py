"""A sitting: what the table plays, hand by hand; what can be taken back; what is shown and saved."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit import HandHistory

from poker_env.errors import UserError
from poker_env.evaluation.estimates import estimate
from poker_env.games import make_deals, make_game
from poker_env.hand import Answer, read_hands
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.state import HandState, street_base
from poker_env.table import LiveHand, play
from recipes.frontends.sitting import ENOUGH_HANDS, Sitting, raise_action
from recipes.frontends.words import offer_in_words, result_in_words, short_name

GAMES = ["kuhn", "leduc", "holdem", "holdem:small_blind=3,big_blind=7,stack=150"]


class Silent:
    """Names no legal action."""

    name = "silent"

    def act(self, observations):
        return [Answer(None, completion="hm") for _ in observations]


def sitting(spec="holdem", villain="random", seed=1, **options):
    game = make_game(spec)
    return Sitting(game, make_player(villain, game) if isinstance(villain, str) else villain, seed, **options)


def play_by(table, choose):
    """Play the hand to its end."""
    while not table.over:
        table.act(choose(table))


@pytest.mark.parametrize("spec", GAMES)
def test_it_plays_the_hands_of_the_table(spec):
    game, count = make_game(spec), 30
    hero, villain = make_player("lag", game), make_player("random", game)
    table = sitting(spec)
    for number in range(count):
        if number:
            table.deal()
        play_by(table, lambda table: hero.act([table.observation])[0].action)
    watched = sitting(spec, hero=hero)
    for _ in range(count - 1):
        watched.deal()
    hands = play(game, make_deals(game, count, seed=1), hero, villain)
    assert table.hands == watched.hands == hands
    assert [hand.hero_seat for hand in table.hands] == [number % 2 for number in range(count)]
    assert table.chips == sum(hand.payoff for hand in hands)
    assert table.estimate == estimate([1000 * hand.payoff_bb for hand in hands], count)


@pytest.mark.parametrize("spec", GAMES)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_taken_back_was_never_done(spec, data):
    """Choices at random, some of them taken back: the same hand as without those."""
    table, straight = sitting(spec, "lag", seed=5), sitting(spec, "lag", seed=5)
    while not table.over:
        observation, decisions = table.observation, list(table.live.decisions)
        chosen = data.draw(st.sampled_from(table.menu)).action
        table.act(chosen)
        if table.can_take_back and data.draw(st.booleans()):
            cards = table.live.state.board
            table.take_back()
            assert table.observation == observation and table.live.decisions == decisions and not table.hands
            assert table.live.state.board == cards
            chosen = data.draw(st.sampled_from(table.menu)).action
            table.act(chosen)
        straight.act(chosen)
        assert table.live.decisions == straight.live.decisions
    assert table.hands == straight.hands


def test_no_card_is_taken_back():
    table = sitting(villain="call")
    table.act(1)
    assert table.view().street == "Flop" and not table.can_take_back
    with pytest.raises(UserError, match="card was turned over"):
        table.take_back()


def test_a_fold_by_mistake_is_taken_back_until_villains_cards_are_seen():
    table = sitting(villain="lag")
    play_by(table, lambda _: 1)
    table.deal()  # hero on the button
    table.act(0)
    assert table.over and len(table.hands) == 2 and table.can_take_back
    table.take_back()
    assert not table.over and len(table.hands) == 1 and "(1 choice taken back)" in table.summary()
    table.act(0)
    table.reveal()
    assert not table.can_take_back and table.view().villain_hole == table.live.state.hole(1 - table.hand.hero_seat)


def test_a_showdown_cannot_be_taken_back():
    table = sitting(villain="call")
    play_by(table, lambda table: table.game.stack if table.observation.min_raise_to else 1)
    assert table.hand.showdown and table.view().villain_hole and not table.can_take_back


@pytest.mark.parametrize("spec", GAMES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_any_size_is_legal_that_openspiel_takes_and_no_other(spec, seed, data):
    table = sitting(spec, "call", seed=seed)
    for _ in range(data.draw(st.integers(0, 3))):
        if not table.over:
            table.act(1)
    if table.over or spec in ("kuhn", "leduc"):
        return
    seen = table.observation
    amount = data.draw(st.integers(-5, table.game.stack + 5) | st.integers(0, 4 * table.game.big_blind))
    action = amount + street_base(table.game, seen.moves, seen.street)
    state = HandState(table.game, table.live.state.deal)
    for move in seen.moves:
        state.apply(move.action)
    legal = action in state._state.legal_actions() and action > 1
    if legal:
        assert raise_action(seen, amount) == action
        table.act(action)
        assert any(move.to == action for move in table.live.state.moves)
    else:
        with pytest.raises(UserError) as refused:
            raise_action(seen, amount)
        assert len(str(refused.value).splitlines()) == 1


def test_illegal_choices_are_refused_and_nothing_happens():
    table = sitting("leduc", "call")
    before = list(table.live.decisions)
    for action, message in ((0, "free"), (7, "can't bet")):
        with pytest.raises(UserError, match=message):
            table.act(action)
    with pytest.raises(UserError, match="one size"):
        raise_action(table.observation, 2)
    with pytest.raises(UserError, match="when the hand is over"):
        table.thoughts()
    assert table.live.decisions == before
    play_by(table, lambda _: 1)
    with pytest.raises(UserError, match="deal the next"):
        table.act(1)


@pytest.mark.parametrize("spec", GAMES)
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_the_view_adds_up_and_hides_what_hero_may_not_see(spec, seed, data):
    table = sitting(spec, "random", seed=seed)
    while True:
        view, state = table.view(), table.live.state
        assert sum(view.stacks) + (0 if view.over else view.pot) == 2 * table.game.stack
        assert view.hole == state.hole(state.deal.hero_seat) and view.board == state.board
        assert (view.villain_hole is not None) == state.showdown
        assert all(stack >= 0 for stack in view.stacks) and all(bet >= 0 for bet in view.bets)
        assert len(table.events()) == len(table.live.decisions)
        if view.over:
            assert view.stacks[0] == table.game.stack + table.hand.payoff
            break
        assert len({offer_in_words(table.observation, item) for item in table.menu}) == len(table.menu)
        table.act(data.draw(st.sampled_from(table.menu)).action)


@pytest.mark.parametrize("spec", ["kuhn", "leduc", "holdem"])
def test_thoughts_are_villains_policy_at_its_decisions(spec):
    table = sitting(spec, "cfr", seed=7)
    for _ in range(6):
        play_by(table, lambda table: table.menu[min(1, len(table.menu) - 1)].action)
        live, thoughts = LiveHand(table.game, table.hand.deal), iter(table.thoughts())
        for decision in table.hand.decisions:
            if decision.seat != table.hand.hero_seat:
                seen, thought = live.observe(), next(thoughts)
                policy = table.villain.policy([seen])[0]
                assert (thought.hole, thought.board) == (seen.hole, seen.board)
                assert [option.probability for option in thought.options] == [policy[key] for key in sorted(policy)]
                taken = [option.text for option in thought.options if option.taken]
                assert len(taken) == 1 and taken[0].split()[0] in decision.move.kind + " all-in"
                assert thought.nothing == pytest.approx(0, abs=1e-9)
            live.decide(decision.answer)
        assert next(thoughts, None) is None
        table.deal()


def test_a_player_without_probabilities_says_so():
    table = sitting(villain="tag")
    play_by(table, lambda _: 1)
    with pytest.raises(UserError, match="tag can't say"):
        table.thoughts()


def test_an_answer_that_names_nothing_ends_the_hand():
    table = sitting("leduc", Silent())
    if not table.over:
        table.act(1)
    assert table.over and table.hand.payoff > 0
    assert table.events()[-1].text == "silent names no legal action: a fold"
    assert table.result_in_words() == "You win 1 without a showdown"


def test_events_are_told_to_the_person():
    table = sitting(villain="call", seed=1)
    table.act(20_000)
    assert [event.text for event in table.events()][-2:] == [
        "You raise to 20,000 and are all-in",
        "call calls 19,900 and is all-in",
    ]
    assert table.result_in_words().startswith(("You win 20,000 at showdown: ", "call wins 20,000 at", "The pot is"))
    split = replace(table.hand, payoff=0.0)
    assert result_in_words(split, "You", "call").startswith("The pot is split at showdown: ")


def test_names():
    game = make_game("kuhn")
    assert sitting("kuhn", "call", hero=make_player("call", game)).names == ("call (hero)", "call (villain)")
    assert sitting("kuhn", "call", hero=make_player("fold", game)).names == ("fold", "call")
    assert short_name("llm:/home/me/runs/quickstart/best/") == "llm:quickstart/best"
    assert short_name("cfr") == "cfr"


def test_the_result_says_how_sure_it_is():
    table = sitting("leduc", "fold", seed=2)
    while len(table.hands) < ENOUGH_HANDS:
        play_by(table, lambda table: make_menu(table.observation)[-1].action)
        if len(table.hands) < ENOUGH_HANDS:
            assert "too few" in table.summary() and "mbb" not in table.summary()
            table.deal()
    assert table.summary() == ("30 hands: +30.0 antes, +1,000 mbb/hand: all hands alike, which says nothing of others")


def test_hands_are_saved(tmp_path):
    table = sitting(villain="lag")
    for _ in range(5):
        play_by(table, lambda _: 1)
        table.deal()
    table.save(tmp_path)
    assert list(read_hands(tmp_path / "hands.jsonl")) == table.hands
    with (tmp_path / "hands.phhs").open("rb") as file:
        histories = list(HandHistory.load_all(file))
    for history, hand in zip(histories, table.hands, strict=True):
        assert list(history)[-1].payoffs[hand.hero_seat] == hand.payoff
        assert history.players[hand.hero_seat] == "human" and history.players[1 - hand.hero_seat] == "lag"
    record = json.loads((tmp_path / "sitting.json").read_text())
    assert (record["game"], record["villain"], record["hands"], record["chips"]) == (
        str(table.game),
        "lag",
        5,
        table.chips,
    )
    assert record["estimate"]["mbb_per_hand"] == table.estimate.mbb_per_hand


def test_a_person_is_no_player_elsewhere():
    with pytest.raises(UserError, match=r"recipes/play\.py"):
        make_player("human", make_game("kuhn"))
