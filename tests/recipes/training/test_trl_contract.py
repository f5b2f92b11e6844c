"""What this project relies on in TRL. When a new TRL moves, these fail, loudly and by name."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_trainer import WEIGHTS, make, make_config, rows_of
from trl import GRPOTrainer

from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.players.llm import LLMPlayer
from recipes.options.config import parse_config
from recipes.training.rollout import Rollout
from recipes.training.rows import Row

A, B, C, D = ((5, 6, 7, 8), (9, 10)), ((5, 6), (11,)), ((5, 9, 9), (12, 13, 14)), ((5, 6, 7, 8), (11, 10))
RETURNS = [
    *((A, (1.0, 0.0)), (A, (-0.5, 1.0)), (A, (2.0, 0.0)), (A, (0.25, -1.0)), (A, (1.5, 0.5)), (A, (0.0, 0.0))),
    *((B, (-2.0, 1.0)), (B, (0.5, 0.0)), (C, (0.5, 0.5)), (C, (3.0, -1.0)), (C, (-4.0, 0.0)), (D, (1.0, 2.0))),
]
"""Twelve decisions, (prompt, answer) and a return for each of two reward functions; four are distinct."""
DECISIONS = [Row(*ids, credit=returns) for ids, returns in RETURNS]


def merged(count, decisions=DECISIONS, **options):
    """Training rows of the decisions."""
    return rows_of(decisions, count, **options)


def policy_gradient(model, decisions):
    """The gradient of -sum_i A_i log p(completion_i) over the number of trained tokens, by plain autograd."""
    tokens = sum(len(row.completion_ids) for row in decisions)
    totals = [row.credit[0] + 2.0 * row.credit[1] for row in decisions]
    loss = torch.zeros(())
    for row, total in zip(decisions, totals, strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        logps = model(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
        advantage = total - np.mean(totals)
        loss = loss - advantage * logps.gather(1, torch.tensor(row.completion_ids)[:, None]).sum() / tokens
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


def menu_gradient(model, decisions):
    """The same for decisions that come as several rows: those of the menu count by their probability."""
    tokens = sum(row.decisions * len(row.completion_ids) for rows in decisions for row in rows)
    loss = torch.zeros(())
    for rows in decisions:
        for row in rows:
            credit = np.dot(row.credit, WEIGHTS)
            ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
            logps = model(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
            loss = loss - float(credit) * logps.gather(1, torch.tensor(row.completion_ids)[:, None]).sum() / tokens
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("depth", [1.0, 0.5])
def test_all_answers_of_a_decision_reach_the_loss_by_their_probability(tiny_model_dir, tmp_path, depth):
    def decision(given, credit, p):
        menu = [Row(*A, credit=(0.7, 0.0), decisions=p), Row(*D, credit=(-0.7, 0.0), decisions=1 - p)]
        return [Row(*given, credit=credit, decisions=0 if given in (A, D) else 1), *menu]

    decisions = [decision(A, (1.0, 0.0), 0.3), decision(D, (0.2, 1.0), 0.1), decision(B, (-1.0, 0.0), 0.25)]
    trainer, found = make(tiny_model_dir, tmp_path, merged(6, decisions), rows_per_epoch=6, lora_depth=depth)
    expected = menu_gradient(trainer.model, decisions)
    assert len(expected) == 2 * 7 * (2 if depth == 1 else 1)  # matrices of the model's two layers, or of the upper one
    trainer.train()
    assert_same_gradient(found.updates[0], expected)


def assert_same_gradient(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    assert max(float(gradient.norm()) for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) <= tolerance * float(gradient.norm()), name


@pytest.mark.parametrize("rows", [DECISIONS, merged(8)], ids=["a row each", "merged and padded"])
def test_each_decisions_own_return_minus_the_mean_reaches_the_loss(tiny_model_dir, tmp_path, rows):
    trainer, _ = make(tiny_model_dir, tmp_path, rows, rows_per_epoch=len(rows))
    expected = policy_gradient(trainer.model, DECISIONS)
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    moved = {name: before[name] - weight.detach() for name, weight in trainer.model.named_parameters()}
    for name, gradient in expected.items():
        torch.testing.assert_close(moved[name], gradient, rtol=1e-3, atol=1e-5)
    assert all(torch.equal(moved[name], torch.zeros_like(moved[name])) for name in moved.keys() - expected.keys())


@pytest.mark.parametrize(
    "options",
    [
        {"loss_type": "cispo"},
        {"beta": 0.3},
        {"num_iterations": 2, "learning_rate": 0.0},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"per_device_train_batch_size": 1}, marks=pytest.mark.slow),
        pytest.param({"importance_sampling_level": "sequence"}, marks=pytest.mark.slow),
        pytest.param({"entropy_coef": 0.5, "per_device_train_batch_size": 12}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_merged_rows_have_the_gradient_of_the_rows_they_replace(tiny_model_dir, tmp_path, options):
    expected, found = [], []
    for rows, gradients in ((DECISIONS, expected), (merged(12), found), (merged(6), found)):
        batch = min(len(rows), options.get("per_device_train_batch_size", 2))
        size = {"rows_per_epoch": len(rows), "per_device_train_batch_size": batch}
        trainer, recorded = make(tiny_model_dir, tmp_path, rows, **{**options, **size})
        trainer.train()
        gradients.append(recorded.updates)
    for updates in found:
        for ours, theirs in zip(updates, expected[0], strict=True):
            assert_same_gradient(ours, theirs)


def test_several_updates_share_an_epochs_gradient_out(tiny_model_dir, tmp_path):
    once, whole = make(tiny_model_dir, tmp_path, DECISIONS, rows_per_epoch=12)
    once.train()
    thrice, parts = make(tiny_model_dir, tmp_path, merged(6), rows_per_epoch=6, updates_per_epoch=3, learning_rate=0.0)
    thrice.train()
    assert len(parts.updates) == 3
    mean = {name: sum(update[name] for update in parts.updates) / 3 for name in parts.updates[0]}
    assert_same_gradient(mean, whole.updates[0])


@pytest.mark.parametrize(
    ("tokens", "updates"),
    [
        *((1, 3), (2, 1), (3, 3)),
        *(pytest.param(*shape, marks=pytest.mark.slow) for shape in ((1, 1), (2, 3), (3, 1))),
    ],
)
def test_rows_with_the_same_prompt_are_in_the_same_batch(tiny_model_dir, tmp_path, updates, tokens):
    """Else the entropy would be that of a part of the menu, and the prompt forwarded again for every part of it."""
    spread = {"rows_per_epoch": 48, "per_device_train_batch_size": 4, "updates_per_epoch": updates}
    menus = [
        Row((5, *prompt), (9 + answer,) * (tokens if answer else 1), (float(answer),))
        for prompt in ((place, place) for place in range(12))
        for answer in range(3)
    ]
    padding = [Row((3,), (3,), (0.0,), decisions=0)] * 12
    trainer, _ = make(tiny_model_dir, tmp_path, menus + padding, **spread, rewards="chips")
    seen = []
    score = trainer._get_per_token_logps_and_entropies

    def spy(model, input_ids, attention_mask, *args, **kwargs):
        seen.append([tuple(ids[mask.bool()].tolist()) for ids, mask in zip(input_ids, attention_mask, strict=True)])
        return score(model, input_ids, attention_mask, *args, **kwargs)

    trainer._get_per_token_logps_and_entropies = spy
    trainer.train()
    seen = seen[-12:]  # with several updates all rows are scored at once before them
    a_batch = sorted([2, 4, 3 + tokens, 3 + tokens])  # a padding row, one menu
    assert [sorted(len(row) for row in rows) for rows in seen] == [a_batch] * 12
    assert all(len({row[:3] for row in rows if len(row) > 2}) == 1 for rows in seen)
    assert len({row for rows in seen for row in rows}) == 37
    in_order = [max(rows)[:3] for rows in seen]
    assert (in_order == sorted(in_order)) == (updates == 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"baseline": "leave_one_out", "scale_rewards": "batch"},
        pytest.param({"baseline": "leave_one_out"}, marks=pytest.mark.slow),
        pytest.param({"scale_rewards": "batch"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_an_epoch_played_and_merged_has_the_gradient_of_its_decisions(tiny_model_dir, tmp_path, options):
    """The reference is the stock trainer on one row per decision: its own mean, its own standard deviation."""
    options = {"rewards": "chips aggression=3.0", "episodes_per_epoch": 64, "replicas": 4, **options}
    config = make_config(tiny_model_dir, tmp_path, villain="random", **options)
    rollout = Rollout(config, load_tokenizer(str(tiny_model_dir)))
    trainer, found = make(tiny_model_dir, tmp_path, rollout, **options, rows_per_epoch=80)
    trainer.train()
    assert rollout.epoch.trained == rollout.epoch.decisions > rollout.epoch.rows + 5

    decisions = []
    for start in range(0, 64, 4):
        hands = rollout.hands[start : start + 4]
        rewards = [[spec(hand) for spec in config.reward_specs()] for hand in hands]
        starts = np.array([[sum(r * 0.99**t for t, r in enumerate(own)) for own in hand] for hand in rewards])
        for index, hand in enumerate(hands):
            baseline = np.delete(starts, index, axis=0).mean(axis=0) if "baseline" in options else np.zeros(2)
            for at, decision in enumerate(hand.hero_decisions):
                returns = [sum(r * 0.99**t for t, r in enumerate(own[at:])) for own in rewards[index]]
                decisions.append(
                    Row(decision.answer.prompt_ids, decision.answer.completion_ids, tuple(returns - baseline))
                )
    size = {"rows_per_epoch": len(decisions), "per_device_train_batch_size": len(decisions)}
    reference, expected = make(tiny_model_dir, tmp_path, decisions, **options, **size)
    reference.scale_rewards = options.get("scale_rewards", "none")
    reference.train()
    assert_same_gradient(found.updates[0], expected.updates[0])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_tree_of_a_batch_gives_the_rows_own_probabilities_and_entropies(tiny_model_dir, tmp_path, temperature):
    trainer, _ = make(tiny_model_dir, tmp_path, DECISIONS, rows_per_epoch=12, temperature=temperature)
    distinct = [A, B, C, D, ((5, 6, 7), (8, 9))]  # the last one's answer goes on along A's prompt
    ids, mask = torch.zeros(5, 7, dtype=torch.long), torch.zeros(5, 7, dtype=torch.long)
    for row, (prompt, completion) in enumerate(distinct):
        span = slice(4 - len(prompt), 4 + len(completion))
        ids[row, span], mask[row, span] = torch.tensor([*prompt, *completion]), 1
    arguments = (trainer.model, ids, mask, 3)
    ours = trainer._get_per_token_logps_and_entropies(*arguments, compute_entropy=True)
    stock = GRPOTrainer._get_per_token_logps_and_entropies(trainer, *arguments, compute_entropy=True)
    for own, other in zip(ours[:2], stock[:2], strict=True):
        torch.testing.assert_close(own, other * mask[:, 4:], rtol=1e-4, atol=1e-5)
    assert ours[2] is None and float(ours[0].detach().min()) < -1


def test_with_all_actions_the_entropy_is_that_of_the_choice_among_them(tiny_model_dir, tmp_path):
    """However many other things the model might say; and other prompts' answers don't matter."""
    all_action = {"variance_reduction": "all_action", "rewards": "chips"}
    trainer, _ = make(tiny_model_dir, tmp_path, DECISIONS, rows_per_epoch=12, **all_action)
    prompts, answers = [(5, 6, 7, 8), (5, 6, 9, 8)], [(10, 3), (11, 3), (12, 4)]
    rows = [(prompt, answer) for prompt in prompts for answer in answers[: 3 if prompt == prompts[0] else 2]]
    trainer.end_ids = (3, 4)
    rows += [(prompts[0], (10, 4)), (prompts[1], (11, 4))]  # said with another end: no other choice
    ids = torch.tensor([[*prompt, *answer] for prompt, answer in rows])
    _, found, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, torch.ones_like(ids), 2, compute_entropy=True
    )
    for row, (prompt, _) in enumerate(rows):
        chances = (
            trainer.model(torch.tensor([prompt])).logits[0, -1].softmax(-1)[[10, 11, 12][: 3 - prompts.index(prompt)]]
        )
        chances = chances / chances.sum()
        assert float(found[row, 0]) == pytest.approx(float(-(chances * chances.log()).sum()), rel=1e-4)
        assert float(found[row, 1]) == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), [next(w for w in trainer.model.parameters() if w.requires_grad)])
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_rows_that_are_all_padding_change_nothing_and_stop_nothing(tiny_model_dir, tmp_path):
    trainer, _ = make(tiny_model_dir, tmp_path, merged(4, []))
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    for name, weight in trainer.model.named_parameters():
        assert torch.equal(before[name], weight.detach()), name


@pytest.mark.parametrize("count", [5, 7], ids=["too few", "too many"])
def test_trl_asks_for_exactly_as_many_rows_as_prompts(tiny_model_dir, tmp_path, count):
    trainer, _ = make(tiny_model_dir, tmp_path, merged(count), rows_per_epoch=6)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it must not pass in silence
        trainer.train()


def test_the_rollout_is_called_once_per_epoch_with_every_row_of_it(tiny_model_dir, tmp_path):
    trainer, _ = make(tiny_model_dir, tmp_path, merged(6), rows_per_epoch=6, num_epochs=3)
    trainer.train()
    prompts = trainer.rollout_func.prompts
    assert [len(call) for call in prompts] == [6, 6, 6]
    assert all(len(set(call)) == 1 and call[0].startswith("epoch ") for call in prompts)


def test_the_trainers_batch_mean_is_zero_and_our_own_figures_are_logged(tiny_model_dir, tmp_path):
    trainer, _ = make(tiny_model_dir, tmp_path, merged(6), rows_per_epoch=6)
    trainer.train()
    (logs,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    for name in ("reward", "rewards/chips/mean", "rewards/bluff/mean"):
        assert logs[name] == pytest.approx(0.0, abs=1e-6)
    assert logs["poker/bb_per_hand"] == pytest.approx(1.25)
    assert {"entropy", "grad_norm", "learning_rate"} <= logs.keys()


def test_a_model_that_ends_at_once_still_gives_rows_with_a_token(tiny_model_dir, tmp_path):
    config = parse_config(
        [
            *("--game", "kuhn", "--model_name_or_path", str(tiny_model_dir), "--output_dir", str(tmp_path)),
            *("--episodes_per_epoch", "8", "--villain", "call", "--dtype", "float32"),
        ]
    )
    tokenizer, model = load_tokenizer(str(tiny_model_dir)), load_model(str(tiny_model_dir), torch.float32)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id, 0] = 1000.0  # the model's constant feature
    accelerator = SimpleNamespace(process_index=0, num_processes=1, unwrap_model=lambda model: model)
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=0), accelerator=accelerator, model=model)
    output = Rollout(config, tokenizer)(["dummy"] * 16, trainer)
    assert len(output["completion_ids"]) == 16
    assert all(len(ids) >= 1 for ids in output["completion_ids"] + output["prompt_ids"])
    assert LLMPlayer(model, tokenizer, config.poker()).config.max_new_tokens == config.max_completion_length


def test_processes_share_an_epochs_deals_without_gap_or_overlap(tiny_model_dir, tmp_path):
    config = parse_config(
        [
            *("--game", "kuhn", "--model_name_or_path", str(tiny_model_dir), "--output_dir", str(tmp_path)),
            *("--episodes_per_epoch", "22", "--replicas", "2", "--villain", "call"),
        ]
    )
    rollout = Rollout(config, load_tokenizer(str(tiny_model_dir)))
    shares = [rollout._share_of_deals(process, 3) for process in range(3)]
    assert [deal for first, count in shares for deal in range(first, first + count)] == list(range(11))


def test_the_entropy_bonus_is_the_mean_entropy_of_the_decisions_tokens(tiny_model_dir, tmp_path):
    size = {"rows_per_epoch": 6, "per_device_train_batch_size": 6}
    trainer, found = make(tiny_model_dir, tmp_path, merged(6), entropy_coef=0.5, **size)
    entropy, tokens = torch.zeros(()), 0
    for row in DECISIONS:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        logps = trainer.model(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
        entropy = entropy - (logps.exp() * logps).sum()
        tokens += len(row.completion_ids)
    policy = policy_gradient(trainer.model, DECISIONS)
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    entropy_gradient = torch.autograd.grad(entropy / tokens, weights)
    expected = {
        name: gradient - 0.5 * own for (name, gradient), own in zip(policy.items(), entropy_gradient, strict=True)
    }
    trainer.train()
    assert_same_gradient(found.updates[0], expected)


def test_cispos_first_gradient_is_dapos(tiny_model_dir, tmp_path):
    """Its bound caps ratios that are 1 there; TRL's own default would take four fifths off."""
    trainer, found = make(tiny_model_dir, tmp_path, merged(8), rows_per_epoch=8, loss_type="cispo")
    expected = policy_gradient(trainer.model, DECISIONS)
    trainer.train()
    assert_same_gradient(found.updates[0], expected)


def drawn_logps(model, row):
    """Of each token of an answer, by a plain forward pass."""
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
    logps = model(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
    return tuple(logps.gather(1, torch.tensor(row.completion_ids)[:, None])[:, 0].tolist())


@pytest.mark.parametrize("options", [{}, {"beta": 0.3}, {"importance_sampling_level": "sequence"}], ids=str)
def test_answers_that_say_how_they_were_drawn_are_not_scored_again(tiny_model_dir, tmp_path, monkeypatch, options):
    """Several updates and iterations measure their ratios against that, as the stock trainer does by scoring anew."""
    options = {
        "rows_per_epoch": 6,
        "updates_per_epoch": 3,
        "num_iterations": 2,
        "epsilon": 9.0,
        "learning_rate": 0.01,
        **options,
    }
    probe, _ = make(tiny_model_dir, tmp_path / "probe", DECISIONS, rows_per_epoch=12)
    with torch.no_grad():
        drawn = [replace(row, logps=drawn_logps(probe.model, row)) for row in DECISIONS]
    gradients, passes = [], []
    for name, decisions in (("known", drawn), ("unknown", DECISIONS)):
        trainer, found = make(tiny_model_dir, tmp_path / name, merged(6, decisions), **options)
        scored, score_tree = [], trainer._score_tree
        monkeypatch.setattr(trainer, "_score_tree", lambda *args, s=score_tree, n=scored: n.append(1) or s(*args))
        trainer.train()
        gradients.append(found.updates)
        passes.append(len(scored))
    assert passes == [6 + ("beta" in options), passes[0] + 1]
    known, unknown = (
        [torch.cat([gradient.flatten() for gradient in update.values()]) for update in updates]
        for updates in gradients
    )
    largest = max(float(gradient.norm()) for gradient in unknown)
    assert float((unknown[3] - unknown[0]).norm()) > 0.1 * largest  # the policy has moved
    for ours, theirs in zip(known, unknown, strict=True):
        assert float((ours - theirs).norm()) < 1e-3 * largest


def test_how_far_the_policy_that_played_is_from_the_one_that_is_trained_is_logged(tiny_model_dir, tmp_path):
    probe, _ = make(tiny_model_dir, tmp_path / "probe", DECISIONS, rows_per_epoch=12)

    with torch.no_grad():
        first = [0.25] * 6 + [-0.25] * 6  # by how much each answer's first token is off
        drawn = [
            replace(row, logps=(by + own, *more))
            for row, by, (own, *more) in zip(
                DECISIONS, first, (drawn_logps(probe.model, row) for row in DECISIONS), strict=True
            )
        ]
        rows = merged(6, drawn)
    trainer, _ = make(tiny_model_dir, tmp_path / "run", rows, rows_per_epoch=6, updates_per_epoch=3, num_iterations=2)
    trainer.train()
    (logs,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs["logp_gap"] == pytest.approx(0.25, abs=1e-4)  # of the first update: those after it have moved
    unknown, _ = make(tiny_model_dir, tmp_path / "unknown", merged(6), rows_per_epoch=6)
    unknown.train()
    assert all("logp_gap" not in entry for entry in unknown.state.log_history)
