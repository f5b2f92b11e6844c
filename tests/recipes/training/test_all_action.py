"""The all-action gradient is that of what hero wins, however wrong the critic, whatever hero says beside the menu."""

import itertools

import numpy as np
import pytest
import torch

from poker_env.games import Deal, make_deals, make_game
from poker_env.knowledge import control_variates
from poker_env.knowledge.exact_value import exact_policy, information_sets
from poker_env.knowledge.small_games import ExactCritic
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.state import HandState
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.training.credit import LuckRemover, decision_rows
from recipes.training.imitation_loss import Example, divergence
from recipes.training.returns import discounted_returns
from recipes.training.rows import training_rows

KUHN = make_game("kuhn")
EVERYTHING = ("range", "villain", "hero", "baseline", "all_action")
BLOCKS, HANDS = 30, 250


class WrongCritic(ExactCritic):
    """Wherever a hand isn't over: too low by 2 chips, and by more or less from one betting history to the next."""

    def values(self, state, worlds):
        wrong = 0.0 if state.done else -2.0 + 0.7 * (-1) ** len(state.actions)
        return super().values(state, worlds) + wrong


@pytest.fixture(scope="module")
def parts(tiny_model_dir):
    """A model that plays, and names no action in 20 % of its answers; what it says ends in two ways."""
    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    other_end = int(tokenizer.convert_tokens_to_ids("<|start|>"))
    model.generation_config.eos_token_id = [int(tokenizer.eos_token_id), other_end]
    config = parse_config(["--game", "kuhn", "--model_name_or_path", str(tiny_model_dir), "--dtype", "float32"])
    hero = LLMPlayer(model, tokenizer, config.poker())
    assert hero.end_ids == (tokenizer.eos_token_id, other_end)
    asked = list(information_sets(KUHN).values())
    shares = np.random.default_rng(0).dirichlet((4, 4), len(asked))
    examples = [
        Example(question.prompt_ids, tuple((*hero.spellings(item.token)[0], end) for item in question.menu
                                           for end in hero.end_ids),
                tuple(float(share * p) for share in own for p in (0.7, 0.3)))
        for question, own in zip(hero.ask(asked), shares, strict=True)
    ]  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    while True:
        astray = divergence(model, examples, 1.0)[1]
        if astray < -np.log(0.8):
            return model, tokenizer
        whole = divergence(model, examples, 1.0)[0]
        optimizer.zero_grad()
        whole.backward()
        optimizer.step()


def along(gradients):
    """Four random directions of a gradient."""
    flat = torch.cat([own.flatten() for own in gradients]).numpy()
    return flat @ np.random.default_rng(0).standard_normal((flat.size, 4)) / flat.size**0.5


def expected_gradient(hero, villain, weights, penalty):
    """Of what hero wins, less what illegal answers cost, on average over deals and seats: worked out by autograd."""
    seen = information_sets(KUHN)
    chances = {}
    for infoset, question in zip(seen, hero.ask(list(seen.values())), strict=True):
        for item in question.menu:
            chance = torch.zeros(())
            for ids in itertools.product(hero.spellings(item.token), hero.end_ids):
                answer = [*ids[0], ids[1]]
                text = torch.tensor([[*question.prompt_ids, *answer]])
                logps = hero.model(text).logits[0, len(question.prompt_ids) - 1 : -1].log_softmax(-1)
                chance = chance + logps.gather(1, torch.tensor(answer)[:, None]).sum().exp()
            chances[infoset, item.action] = chance

    def won(deal, actions):
        state = HandState(KUHN, deal)
        for action in actions:
            state.apply(action)
        if state.done:
            return torch.tensor(state.payoffs[deal.hero_seat])
        now = state.observe()
        ours = now.seat == deal.hero_seat
        own = {a: chances[now.infoset, a] if ours else villain[now.infoset][a] for a in now.legal}
        value = sum(chance * won(deal, (*actions, action)) for action, chance in own.items() if ours or chance)
        return value - (1 - sum(own.values())) * (now.contributions[now.seat] + penalty) if ours else value

    decks = list(itertools.permutations(range(len(KUHN.cards)), KUHN.deck_length))
    deals = [Deal(deck, seat, 0) for deck in decks for seat in (0, 1)]
    illegal = [
        1 - sum(float(chances[infoset, action].detach()) for action in now.legal) for infoset, now in seen.items()
    ]
    return along(torch.autograd.grad(sum(won(deal, ()) for deal in deals) / len(deals), weights)), np.mean(illegal)


def weighed(model, rows):
    """The sum over the rows of their log-probabilities by their credit, a hand's share of it."""
    width = max(row.tokens for row in rows)
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids, *[0] * (width - row.tokens)] for row in rows])
    credit = torch.zeros(ids.shape)
    for place, row in enumerate(rows):
        credit[place, len(row.prompt_ids) : row.tokens] = sum(row.credit)
    logps = model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[:, :, 0]
    return (credit[:, 1:] * logps).sum() / HANDS


@pytest.mark.parametrize(
    ("critic", "known_penalty"),
    [
        (WrongCritic, False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((WrongCritic, True), (ExactCritic, True), (ExactCritic, False))
        ),
    ],
)
def test_it_is_the_gradient_of_what_is_won(parts, tiny_model_dir, tmp_path, monkeypatch, critic, known_penalty):
    """`known_penalty`: whether the credit knows the reward that illegal answers cost, or takes it for any other."""
    monkeypatch.setattr(control_variates, "ExactCritic", critic)
    options = ["--game", "kuhn", "--villain", "cfr:weak", "--rewards", "chips", "illegal", "--gamma", "1"]
    where = ["--model_name_or_path", str(tiny_model_dir), "--output_dir", str(tmp_path), "--dtype", "float32"]
    config = parse_config([*options, *where, "--variance_reduction", *EVERYTHING])
    villain = make_player(config.villain, KUHN)
    remover = LuckRemover(config, villain)
    penalty = -next(iter(remover._penalties.values()))
    if not known_penalty:
        remover._penalties.clear()
    hero = LLMPlayer(*parts, config.poker(), answers=remover.answers)
    weights = [hero.model.model.layers[0].mlp.down_proj.weight, hero.model.model.layers[1].self_attn.v_proj.weight]
    expected, illegal = expected_gradient(hero, exact_policy(KUHN, villain), weights, penalty)
    assert 0.15 < illegal < 0.25
    found = []
    for block in range(BLOCKS):
        hands = play(KUHN, make_deals(KUHN, HANDS, 5, start=block * HANDS), hero, villain)
        decisions = []
        for hand, own in zip(hands, remover.credits(hands, hero), strict=True):
            rewards = np.array([spec(hand) for spec in config.reward_specs()]).reshape(2, -1)
            raw = remover.returns(discounted_returns(rewards, 1.0), hand, own)
            decisions += remover.decisions(hand, own, decision_rows([hand], [raw], np.zeros((1, 2))), hero)
        rows, *_ = training_rows(decisions, 512, weights=[1.0, 1.0], scale=False, pad_token_id=0,
                             rng=np.random.default_rng(0))  # fmt: skip
        found.append(along(torch.autograd.grad(weighed(hero.model, [row for row in rows if row.decisions]), weights)))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / BLOCKS**0.5
    assert np.abs((mean - expected) / error).max() < 3
    assert np.abs(expected / error).max() > 10  # there is a gradient to agree on
