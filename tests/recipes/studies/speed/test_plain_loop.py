"""The loop that ours is measured against plays by the rules, reads answers right, and learns by REINFORCE."""

from types import SimpleNamespace

import pytest
import torch

from poker_env.games import make_deals, make_game
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.prompts import build_messages, parse_answer
from poker_env.state import HandState
from recipes.studies.speed.plain_loop import ANSWER_TOKENS, PlainHero, play_plainly, token_logps, update_plainly


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32)


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir):
    return load_tokenizer(str(tiny_model_dir))


class Scripted:
    """Says the same whatever it is asked."""

    device = torch.device("cpu")
    generation_config = None

    def __init__(self, tokens):
        self.tokens = tokens

    def generate(self, input_ids, attention_mask, generation_config):
        self.asked, self.sampling = input_ids[0].tolist(), generation_config
        return torch.cat([input_ids, torch.tensor([self.tokens])], dim=1)


@pytest.mark.parametrize("game", ["kuhn", "holdem"])
def test_its_hands_are_legal(model, tokenizer, game):
    game = make_game(game)
    deals = make_deals(game, 6, 0)
    hands = play_plainly(game, deals, PlainHero(model, tokenizer), make_player("call", game))
    assert [hand.deal for hand in hands] == deals
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    observations = [observation for hand in hands for observation in hand.observations(hand.hero_seat)]
    for decision, observation in zip(decisions, observations, strict=True):
        item = parse_answer(decision.answer.completion, make_menu(observation))
        assert decision.answer.action == (item.action if item else None)
        assert decision.legal == (item is not None)
        assert 1 <= len(decision.answer.completion_ids) <= ANSWER_TOKENS
    assert {decision.legal for decision in decisions} == {True, False}


@pytest.mark.parametrize(
    ("said", "place"), [("A1", 1), ("A0.", 0), ("I say A2", 2), ("none", None), ("A9", None), ("", None)]
)
def test_answers_are_read(tokenizer, said, place):
    game = make_game("holdem")
    observation = HandState(game, make_deals(game, 1, 0)[0]).observe()
    tokens = tokenizer(said, add_special_tokens=False)["input_ids"]
    scripted = Scripted([*tokens, tokenizer.eos_token_id])
    answer = PlainHero(scripted, tokenizer).act([observation])[0]
    menu = make_menu(observation)
    assert answer.action == (None if place is None else menu[place].action)
    assert answer.completion == said
    assert answer.prompt == build_messages(observation, menu, "classic")[0]["content"]
    assert answer.prompt in tokenizer.decode(scripted.asked)
    assert answer.completion_ids == (*tokens, tokenizer.eos_token_id)
    assert (scripted.sampling.do_sample, scripted.sampling.top_k, scripted.sampling.max_new_tokens) == (True, 0, 10)


def test_log_probabilities_are_those_of_plain_forwards(model):
    prompt, answer = [5, 9, 20, 31, 7], [40, 41, 2]
    found = token_logps(model, prompt, answer)
    for place, token in enumerate(answer):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer[:place]])).logits[0, -1]
        assert found[place].item() == pytest.approx(logits.log_softmax(dim=-1)[token].item(), abs=1e-5)


def test_the_update_is_reinforce(tiny_model_dir):
    model = load_model(str(tiny_model_dir), torch.float32)
    answers = [SimpleNamespace(prompt_ids=(5, 9, 20), completion_ids=(40, 2)) for _ in range(3)]
    answers[1].completion_ids = (41, 42, 2)
    decisions = [SimpleNamespace(answer=answer) for answer in answers]
    hands = [
        SimpleNamespace(payoff_bb=3.0, hero_decisions=decisions[:1]),
        SimpleNamespace(payoff_bb=-1.0, hero_decisions=decisions[1:]),
    ]
    weight = model.lm_head.weight
    before = weight.detach().clone()
    aim = sum(
        (hand.payoff_bb - 1.0) * token_logps(model, d.answer.prompt_ids, d.answer.completion_ids).sum() / 3
        for hand in hands
        for d in hand.hero_decisions
    )
    expected = torch.autograd.grad(aim, weight)[0]
    assert update_plainly(model, torch.optim.SGD([weight], lr=0.5), hands, autocast=False) == 3
    assert torch.allclose(weight - before, 0.5 * expected, atol=1e-5)
    assert expected.abs().max() > 1e-3
