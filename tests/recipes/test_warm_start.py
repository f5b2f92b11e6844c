"""Warm starts: what is imitated, the loss on a tree of tokens, and what an adapter plays like afterwards."""

import numpy as np
import pytest
import torch
from made_trainer import Gradients
from safetensors.numpy import load_file

from poker_env.errors import UserError
from poker_env.forwarding.token_tree import TokenTree
from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.exact_value import ExactJudge, exact_policy
from poker_env.language_model.bundled import BUNDLED
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import POT_FRACTIONS, make_menu
from poker_env.player_specs import make_player
from poker_env.players.llm import load_llm_player
from poker_env.state import HandState
from poker_env.table import play
from recipes import warm_start
from recipes.options.config import parse_config
from recipes.training.imitation import Imitated, examples_of
from recipes.training.imitation_loss import Example, divergence
from recipes.warm_start import ImitationTrainer, main

KUHN, HOLDEM = make_game("kuhn"), make_game("holdem")


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32)


# The tree of tokens


def random_examples(seed):
    """Prompts that share beginnings, some the beginning of others; answers of several lengths that share them too."""
    rng = np.random.default_rng(seed)
    trunk = rng.integers(4, 110, 12).tolist()
    shapes = [(12, 3), (12, 7), (5, 9), (0, 4)]
    prompts = [(*trunk[:cut], *rng.integers(4, 110, length).tolist()) for cut, length in shapes]
    prompts += [prompts[1][:-2], tuple(trunk[:6])]
    answers = [((98, 2), (99, 2), (100, 4, 2)), ((98, 5, 2), (98, 6, 2)), ((2,), (99, 2))]
    return [
        Example(prompt, answers[i % 3], tuple(rng.dirichlet([0.5] * len(answers[i % 3])).tolist()))
        for i, prompt in enumerate(prompts)
    ]


def plain_divergence(model, examples, temperature):
    """Each prompt and answer forwarded by itself."""
    total = torch.zeros(())
    for example in examples:
        for answer, probability in zip(example.answers, example.probabilities, strict=True):
            logits = model(torch.tensor([[*example.prompt_ids, *answer]])).logits[0, len(example.prompt_ids) - 1 : -1]
            logps = (logits / temperature).log_softmax(-1).gather(1, torch.tensor(answer)[:, None])
            total = total + probability * (np.log(probability) - logps.sum())
    return total / len(examples)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_trees_divergence_and_gradient_are_those_of_the_plain_texts(model, seed, temperature):
    examples = random_examples(seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    plain = plain_divergence(model, examples, temperature)
    expected = torch.autograd.grad(plain, weights)
    tree, _ = divergence(model, examples, temperature)
    assert tree.item() == pytest.approx(plain.item(), rel=1e-5)
    for found, wanted in zip(torch.autograd.grad(tree, weights), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_what_goes_astray_is_what_no_answer_begins_with(model, temperature):
    examples = random_examples(0)
    lost = 0.0
    for example in examples:
        beginnings = {answer[:length] for answer in example.answers for length in range(len(answer))}
        for beginning in beginnings:
            logits = model(torch.tensor([[*example.prompt_ids, *beginning]])).logits[0, -1]
            place, goes_on = len(beginning), [a for a in example.answers if a[: len(beginning)] == beginning]
            legal = (logits / temperature).softmax(-1)[list({answer[place] for answer in goes_on})].sum().item()
            reached = sum(p for a, p in zip(example.answers, example.probabilities, strict=True) if a in goes_on)
            lost -= reached * np.log(legal)
    whole, astray = divergence(model, examples, temperature)
    assert astray.item() == pytest.approx(lost / len(examples), rel=1e-4)
    assert 0 < astray.item() < whole.item()


@pytest.mark.parametrize(("step", "times"), [(0, 1.0), (75, 15.5), (150, 30.0)])
def test_going_astray_counts_more_with_every_step(step, times, tiny_model_dir, tmp_path):
    examples = random_examples(0)
    config = parse_config(arguments(tiny_model_dir, tmp_path))
    base, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    trainer = ImitationTrainer(config, base, tokenizer, examples)
    trainer.state.global_step, trainer.state.max_steps = step, config.warm_start_steps
    whole, astray = divergence(trainer.model, examples, config.temperature)
    loss = trainer.compute_loss(trainer.model, {"examples": examples, "weight": 1.0})
    assert loss.item() == pytest.approx((whole + (times - 1) * astray).item(), rel=1e-5)


def imitating(tiny_model_dir, folder, tokens):
    """A trainer on ten examples, so many tokens at a time, and what records its gradients."""
    config = parse_config(
        [*arguments(tiny_model_dir, folder), "--warm_start_steps", "2", "--warm_start_batch_size", "10"]
    )
    base, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    gradients = Gradients()
    torch.manual_seed(0)
    trainer = ImitationTrainer(config, base, tokenizer, [*random_examples(0), *random_examples(1)][:10], [gradients])
    trainer.tokens_per_tree = tokens
    return trainer, gradients


def test_parts_of_a_batch_have_the_gradient_of_the_whole(tiny_model_dir, tmp_path, monkeypatch):
    found, sizes, usual = [], [], warm_start.divergence
    monkeypatch.setattr(
        warm_start, "divergence", lambda m, own, *t, **o: sizes.append(len(own)) or usual(m, own, *t, **o)
    )
    for tokens in (10_000, 40, 1):
        trainer, gradients = imitating(tiny_model_dir, tmp_path, tokens)
        trainer.train()
        found.append((gradients.updates, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]))
    assert sizes[:2] == [10, 10] and sizes[-20:] == 20 * [1] and 4 < len(sizes) - 22 < 20
    for updates, losses in found[1:]:
        assert losses == pytest.approx(found[0][1], rel=1e-4)
        for name, expected in found[0][0][0].items():
            torch.testing.assert_close(updates[0][name], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(updates[1][name], found[0][0][1][name], rtol=1e-2, atol=1e-3)


def test_a_warm_start_that_runs_out_of_memory_goes_on_with_less(tiny_model_dir, tmp_path, monkeypatch, capsys):
    whole, expected = imitating(tiny_model_dir, tmp_path, 10_000)
    whole.train()
    trainer, gradients = imitating(tiny_model_dir, tmp_path, 200)
    usual = warm_start.divergence

    def short_of_memory(model, examples, *given, **options):
        found = usual(model, examples, *given, **options)
        if trainer.tokens_per_tree > 100:
            found[0].backward()  # it had begun
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(warm_start, "divergence", short_of_memory)
    trainer.train()
    assert trainer.tokens_per_tree == 100 and "going on with 100 tokens at a time" in capsys.readouterr().err
    for name, value in expected.updates[0].items():
        torch.testing.assert_close(gradients.updates[0][name], value, rtol=1e-5, atol=1e-5)


def test_a_tree_holds_every_shared_beginning_once():
    tree = TokenTree()
    nodes = [tree.add(-1, text) for text in ((5, 6, 7, 8), (5, 6, 7, 9), (5, 6, 1, 8), (5, 6, 7))]
    batch = tree.inputs()
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 1, 8]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 3, 2, 3]]
    mask = tree.mask(torch.float16)
    assert mask.dtype == torch.float16 and (mask == 0)[0, 0].sum(dim=1).tolist() == [1, 2, 3, 4, 4, 3, 4]
    assert set(mask.flatten().tolist()) == {0.0, torch.finfo(torch.float16).min}
    assert [tree.tokens(tree.path(node)) for node in nodes[1:3]] == [[5, 6, 7, 9], [5, 6, 1, 8]]
    assert tree.length() == 4 and tree.length(nodes[3]) == 3


def test_an_answer_that_shall_not_come_has_no_part_in_the_loss(model):
    sure = [Example((5, 6), ((98, 2), (99, 2)), (1.0, 0.0))]
    alone = [Example((5, 6), ((98, 2),), (1.0,))]
    losses = [divergence(model, examples, 1.0)[0].item() for examples in (sure, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


# What is imitated


class Scripted:
    """Always the same policy, or without one always the same action."""

    name = "scripted"

    def __init__(self, policy):
        self.table = policy

    def policy(self, observations):
        return [self.table for _ in observations]

    def act(self, observations):
        raise AssertionError("its policy is known")


def first_observation(game):
    return HandState(game, make_deals(game, 1, 0)[0]).observe()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({0: 0.25, 1: 0.75}, {"fold": 0.25, "call": 0.75}),
        ({201: 1.0}, {200: 1.0}),  # the menu has raises to 200, 250, 300, 400 and all-in
        ({260: 0.5, 340: 0.5}, {250: 0.5, 300: 0.5}),
        ({9_000: 0.5, 20_000: 0.5}, {400: 0.5, 20_000: 0.5}),
        ({19_999: 1.0}, {20_000: 1.0}),
    ],
)
@pytest.mark.parametrize("floor", [0.0, 0.07])
def test_an_action_off_the_menu_is_the_nearest_raise(policy, expected, floor):
    observation = first_observation(HOLDEM)
    imitated = Imitated(Scripted(policy), POT_FRACTIONS, floor)
    imitated.act([observation])
    menu = make_menu(observation)
    ((seen, probabilities),) = imitated.decisions
    assert seen is observation
    wanted = [expected.get(item.kind, expected.get(item.to, 0.0) if item.kind == "raise" else 0.0) for item in menu]
    np.testing.assert_allclose(probabilities, (1 - floor) * np.array(wanted) + floor / len(menu), atol=1e-12)


def test_a_player_without_a_policy_is_imitated_by_what_it_does():
    imitated = Imitated(make_player("tag", HOLDEM), POT_FRACTIONS, 0.0)
    observations = [HandState(HOLDEM, deal).observe() for deal in make_deals(HOLDEM, 30, 0)]
    answers = imitated.act(observations)
    wanted = make_player("tag", HOLDEM).act(observations)
    assert [answer.action for answer in answers] == [answer.action for answer in wanted]
    assert all(sorted(probabilities)[-2:] == [0, 1] for _, probabilities in imitated.decisions)


def test_where_nothing_is_named_anything_goes():
    class Mute:
        name = "mute"

        def act(self, observations):
            return [Answer(None) for _ in observations]

    imitated = Imitated(Mute(), POT_FRACTIONS, 0.05)
    imitated.act([first_observation(KUHN)])
    assert imitated.decisions[0][1] == pytest.approx([0.5, 0.5])


def test_imitated_actions_come_as_often_as_they_should():
    imitated = Imitated(make_player("cfr", KUHN), POT_FRACTIONS, 0.1)
    hands = play(KUHN, make_deals(KUHN, 3_000, 0), imitated, imitated)
    taken = np.array([decision.move.action for hand in hands for decision in hand.decisions])
    expected = np.array([probabilities for _, probabilities in imitated.decisions])
    assert len(taken) == len(expected)
    assert abs(taken.mean() - expected[:, 1].mean()) < 4 * 0.5 / len(taken) ** 0.5


def test_one_example_for_each_prompt_with_the_mean_of_its_decisions(tiny_model_dir):
    hero = load_llm_player(str(tiny_model_dir), KUHN)
    observation = first_observation(KUHN)
    other = HandState(KUHN, make_deals(KUHN, 1, 0)[0])
    other.apply(1)
    decisions = [(observation, np.array([0.2, 0.8])), (other.observe(), np.array([1.0, 0.0]))]
    decisions.append((observation, np.array([0.4, 0.6])))
    first, second = examples_of(hero, decisions)
    assert first.probabilities == pytest.approx((0.3, 0.7)) and second.probabilities == (1, 0)
    (question,) = hero.ask([observation])
    assert first.prompt_ids == question.prompt_ids
    end = hero.tokenizer.eos_token_id
    assert first.answers == tuple((*hero.tokenizer.encode(token), end) for token in ("A0", "A1"))


# The whole


def arguments(model_dir, output_dir, *more):
    return [
        *("--game", "kuhn", "--villain", "cfr", "--model_name_or_path", str(model_dir), "--dtype", "float32"),
        *("--warm_start_player", "villain", "--warm_start_hands", "500", "--warm_start_steps", "150"),
        *("--warm_start_learning_rate", "3e-3", "--warm_start_floor", "0.05"),
        *("--output_dir", str(output_dir), *more),
    ]


@pytest.fixture(scope="module")
def warm(tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recipes.warm_start.LEGALITY", 1.0)  # no model this small can be more legal than it is by then
        main(arguments(tiny_model_dir, folder))
    return folder / "warm_start"


def test_hero_plays_as_villain_does(warm):
    """As closely as the tiny model can: its own weights keep 1.5 % of every answer for blanks."""
    hero, villain = load_llm_player(str(warm), KUHN), make_player("cfr", KUHN)
    policy = exact_policy(KUHN, hero)
    assert min(sum(row.values()) for row in policy.values()) > 0.98
    for state, row in exact_policy(KUHN, villain).items():
        for action, probability in row.items():
            assert policy[state][action] == pytest.approx(0.95 * probability + 0.025, abs=0.03)
    found = ExactJudge(KUHN, villain).judge(policy)
    assert abs(found.value - found.self_play) < 0.03
    hands = play(KUHN, make_deals(KUHN, 200, 5), hero, villain)
    answers = [decision.answer for hand in hands for decision in hand.hero_decisions]
    assert np.mean([answer.completion in ("A0", "A1") for answer in answers]) > 0.95  # the end follows the token


@pytest.mark.slow
def test_smollm_answers_legally_and_is_worth_what_villain_is(tmp_path):
    """What a warm start must achieve, with its default settings."""
    options = ["--game", "kuhn", "--model_name_or_path", BUNDLED, "--warm_start_player", "villain"]
    main([*options, "--output_dir", str(tmp_path)])
    policy = exact_policy(KUHN, load_llm_player(str(tmp_path / "warm_start"), KUHN))
    assert min(sum(row.values()) for row in policy.values()) >= 0.999
    assert abs(ExactJudge(KUHN, make_player("cfr", KUHN)).judge(policy).value) < 0.02


def test_the_same_seed_gives_the_same_adapter(tiny_model_dir, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        main(arguments(tiny_model_dir, tmp_path / name, "--warm_start_steps", "3", "--seed", seed))
    a, b, c = (load_file(tmp_path / name / "warm_start" / "adapter_model.safetensors") for name in "abc")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not all(np.array_equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("spec", ["lbr", *(pytest.param(spec, marks=pytest.mark.slow) for spec in ("tag", "random"))])
def test_any_player_can_be_imitated(tiny_model_dir, tmp_path, spec):
    more = ("--warm_start_player", spec, "--warm_start_hands", "20", "--warm_start_steps", "3", "--game", "holdem")
    main(arguments(tiny_model_dir, tmp_path, *more))
    assert load_llm_player(str(tmp_path / "warm_start"), HOLDEM).config.game == HOLDEM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--warm_start_player", "shark"], "unknown player 'shark'"),
        (["--warm_start_steps", "0"], "warm_start_steps 0"),
        (["--warm_start_hands", "0"], "warm_start_hands 0"),
        (["--warm_start_floor", "1.5"], "warm_start_floor 1.5"),
        (["--exact_eval_every", "-1"], "exact_eval_every -1"),
    ],
)
def test_mistakes_end_in_one_line(tiny_model_dir, tmp_path, options, message):
    with pytest.raises(UserError) as caught:
        main(arguments(tiny_model_dir, tmp_path, *options))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_player_must_be_named(tiny_model_dir, tmp_path):
    with pytest.raises(UserError, match="warm_start_player is not set"):
        main(["--game", "kuhn", "--model_name_or_path", str(tiny_model_dir), "--output_dir", str(tmp_path)])
