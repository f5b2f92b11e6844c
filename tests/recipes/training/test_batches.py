"""A batch in parts trains as the whole batch does, whatever memory leaves room for."""

import numpy as np
import pytest
import torch
from made_trainer import WEIGHTS, make, rows_of
from together import made_up_decisions

from recipes.training import memory
from recipes.training import trainer as training
from recipes.training.batches import in_parts, texts_of
from recipes.training.rows import Row, to_trl, training_rows

MENUS = {"variance_reduction": "all_action", "entropy_coef": 0.3, "beta": 0.1}


def batch_of(texts):
    """What the stock trainer makes of (prompt, answer) texts: prompts padded on the left, answers on the right."""
    wide, long = (max(len(text[place]) for text in texts) for place in (0, 1))
    rows = {
        "prompt_ids": [[0] * (wide - len(p)) + list(p) for p, _ in texts],
        "prompt_mask": [[0] * (wide - len(p)) + [1] * len(p) for p, _ in texts],
        "completion_ids": [list(a) + [0] * (long - len(a)) for _, a in texts],
        "completion_mask": [[1] * len(a) + [0] * (long - len(a)) for _, a in texts],
    }
    return {
        **{name: torch.tensor(own) for name, own in rows.items()},
        "tool_mask": torch.ones(len(texts), long),
        "num_items_in_batch": torch.tensor(5.0),
    }


@pytest.mark.parametrize("tokens", [1, 7, 20, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_parts_hold_each_row_once_and_a_prompts_rows_together(tokens, seed):
    rng = np.random.default_rng(seed)
    prompts = [tuple(rng.integers(1, 4, rng.integers(1, 9)).tolist()) for _ in range(12)]
    texts = sorted({(p, tuple(rng.integers(1, 4, rng.integers(1, 4)).tolist())) for p in prompts for _ in range(3)})
    rng.shuffle(texts)
    texts = [(tuple(p), tuple(a)) for p, a in texts]
    parts = in_parts(batch_of(texts), tokens)
    found = [[(tuple(p), tuple(a)) for p, a in texts_of(part)] for part in parts]
    assert sorted(row for own in found for row in own) == sorted(texts)
    homes = {prompt: {place for place, own in enumerate(found) for p, _ in own if p == prompt} for prompt in prompts}
    assert all(len(places) == 1 for places in homes.values())
    for own in found:
        nodes = {(p + a)[:length] for p, a in own for length in range(1, len(p + a[:-1]) + 1)}  # all but the last
        assert len(nodes) <= tokens or len({p for p, _ in own}) == 1
    assert all(part["num_items_in_batch"] == 5.0 and len(part["tool_mask"]) for part in parts)
    assert (tokens == 1000) == (len(parts) == 1)


def gradients(tiny_model_dir, folder, tokens, **options):
    """An update's gradient and figures, so many tokens at a time."""
    rows = rows_of(made_up_decisions(1, 14, menus=True), 48)
    trainer, found = make(tiny_model_dir, folder, rows, rows_per_epoch=48, per_device_train_batch_size=24, **options)
    trainer.tokens_per_tree = tokens
    trainer.train()
    return found.updates[0], next(entry for entry in trainer.state.log_history if "loss" in entry)


@pytest.mark.parametrize("options", [MENUS, {"loss_type": "cispo", "entropy_coef": 0.2}])
def test_parts_have_the_gradient_and_the_figures_of_the_whole(options, tiny_model_dir, tmp_path):
    whole, logged = gradients(tiny_model_dir, tmp_path / "whole", 10_000, **options)
    parts, own = gradients(tiny_model_dir, tmp_path / "parts", 12, **options)
    for name, expected in whole.items():
        assert float((parts[name] - expected).norm()) <= 1e-5 * float(expected.norm()) + 1e-6, name
    timed = ("time", "runtime", "per_second")
    for name, value in logged.items():
        if not name.endswith(timed) and isinstance(value, float):
            assert own[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_out_of_memory_halves_the_parts_and_loses_nothing(tiny_model_dir, tmp_path, monkeypatch, capsys):
    expected, logged = gradients(tiny_model_dir, tmp_path / "whole", 10_000, **{**MENUS, "beta": 0})
    rows = rows_of(made_up_decisions(1, 14, menus=True), 48)
    options = {"rows_per_epoch": 48, "per_device_train_batch_size": 24, **MENUS, "beta": 0}
    trainer, found = make(tiny_model_dir, tmp_path / "short", rows, **options)
    trainer.tokens_per_tree, calls, score = 256, [], trainer._score_tree

    def short_of_memory(model, own, compute_entropy):
        calls.append(len(own))
        if trainer.tokens_per_tree > 64:
            score(model, own, compute_entropy)[1].sum().backward()  # it had begun
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(model, own, compute_entropy)

    monkeypatch.setattr(trainer, "_score_tree", short_of_memory)
    played, play = [], trainer._generate_and_score_completions
    monkeypatch.setattr(
        trainer, "_generate_and_score_completions", lambda inputs: played.append(trainer._step) or play(inputs)
    )
    trainer.train()
    assert played == sorted(set(played)), "hands were played again"
    assert trainer.tokens_per_tree == 64 and "64 tokens at a time" in capsys.readouterr().err
    for name, value in expected.items():
        torch.testing.assert_close(found.updates[0][name], value, rtol=1e-4, atol=1e-6)
    entry = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert entry["entropy"] == pytest.approx(logged["entropy"], rel=1e-3)


def test_out_of_memory_while_hands_are_played_is_no_matter_of_parts(tiny_model_dir, tmp_path, monkeypatch):
    trainer, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7,), (1.0, 0.0))], 4))
    tokens = trainer.tokens_per_tree

    def out_of_memory(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "_generate_and_score_completions", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train()
    assert trainer.tokens_per_tree == tokens


def test_what_does_not_fit_in_the_smallest_parts_ends_the_run(tiny_model_dir, tmp_path, monkeypatch):
    trainer, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7,), (1.0, 0.0))], 4))

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "_score_tree", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train()


def test_fewer_tokens_fit_into_less_memory(tiny_model_dir, tmp_path, monkeypatch, capsys):
    trainer, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7,), (1.0, 0.0))], 4))
    each = memory.bytes_per_token(trainer.model)
    layers, width = trainer.model.config.num_hidden_layers, trainer.model.config.hidden_size
    assert each > 4 * 4 * layers * width  # a layer keeps more than its input
    upper, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7,), (1.0, 0.0))], 4), lora_depth=0.5)
    assert memory.bytes_per_token(upper.model) < 0.7 * each
    found = []
    for free in (1e12, 300 * each / memory.SHARE, 1.0):
        monkeypatch.setattr(memory, "available_bytes", lambda device, free=free: free)
        found.append(memory.estimated(trainer.model).tokens)
    assert found[0] == memory.MOST_TOKENS["cpu"] and found[2] == memory.FEWEST_TOKENS
    assert found[1] == pytest.approx(300, abs=1)
    said = capsys.readouterr().err
    assert "note: memory may not suffice: 256 tokens at a time take about" in said and said.count("\n") == 1


def test_nothing_is_forwarded_after_an_answers_last_token(tiny_model_dir, tmp_path, monkeypatch):
    sizes, usual = [], training.tree_logits

    def counted(model, tree, *others, **options):
        sizes.append(len(tree))
        return usual(model, tree, *others, **options)

    monkeypatch.setattr(training, "tree_logits", counted)
    rows = rows_of([Row((5, 6), (7, 8, 9), (1.0, 0.0)), Row((5, 6), (7, 3), (-1.0, 0.0))], 2)
    trainer, _ = make(tiny_model_dir, tmp_path, rows, rows_per_epoch=2, num_epochs=1)
    trainer.train()
    assert sizes and set(sizes) == {5}  # 5, 6, 7, 8, and the prompt of what only fills up


def test_memory_is_given_back_before_and_after_an_epochs_hands(tiny_model_dir, tmp_path, monkeypatch):
    happened = []
    monkeypatch.setattr(training, "give_back", lambda: happened.append("given back"))
    trainer, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7, 8), (1.0, 0.0))], 4), num_epochs=1)
    play = trainer._generate_and_score_completions
    monkeypatch.setattr(
        trainer, "_generate_and_score_completions", lambda inputs: happened.append("hands") or play(inputs)
    )
    trainer.train()
    assert happened == ["given back", "hands", "given back"]


def test_an_estimate_counts_weights_by_what_is_made_of_them(tiny_model_dir, tmp_path, monkeypatch):
    trainer, _ = make(tiny_model_dir, tmp_path, rows_of([Row((5, 6), (7,), (1.0, 0.0))], 4), lora_r=8)
    found = memory.estimated(trainer.model)
    trained = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
    assert found.adapter == 4 * 4 * trained  # float32: weight, gradient, two means
    assert found.weights == 4 * (sum(w.numel() for w in trainer.model.parameters()) - trained)
    assert found.activations > found.tokens * found.per_token
    assert found.total == found.weights + found.adapter + found.activations + found.program
    assert 1e8 < found.program < 1e11  # torch is there


def test_an_estimate_is_one_line():
    found = memory.Memory(500_000_000, 78_000_000, per_token=1_200_000, tokens=512, program=1_100_000_000)
    parts = "weights 0.5, adapter and optimizer 0.078, 512 tokens at a time 1, libraries and tables 1.1"
    assert str(found) == f"memory: about 2.7 GB ({parts})"
    elsewhere = memory.Memory(6_000_000_000, 400_000_000, per_token=3_000_000, tokens=16_384, program=0)
    assert str(elsewhere).endswith("adapter and optimizer 0.4, 16,384 tokens at a time 82)")


def test_a_share_of_the_prompts_is_divided_by_the_tokens_of_all(tiny_model_dir, tmp_path):
    decisions = made_up_decisions(1, 14, menus=True)
    size = {"rows_per_epoch": 48, "per_device_train_batch_size": 24, "variance_reduction": "all_action"}
    options = {"weights": WEIGHTS, "scale": False, "pad_token_id": 0}
    whole, tokens, _ = training_rows(decisions, 48, rng=np.random.default_rng(0), **options)
    trainer, found = make(tiny_model_dir, tmp_path / "whole", whole, **size)
    trainer.train()
    mean = {name: torch.zeros_like(gradient) for name, gradient in found.updates[0].items()}
    part, gradients = make(tiny_model_dir, tmp_path / "part", whole, num_epochs=60, learning_rate=0.0, **size)
    parts = iter(
        [training_rows(decisions, 48, rng=np.random.default_rng(s), share=0.5, **options)[0] for s in range(60)]
    )
    part.rollout_func = lambda *_: to_trl(next(parts), None, tokens)
    part.rollout_func.metrics = dict
    part.train()
    for update in gradients.updates:
        for name in mean:
            mean[name] += update[name] / 60
    flat = torch.cat([value.flatten() for value in mean.values()])
    expected = torch.cat([value.flatten() for value in found.updates[0].values()])
    each = torch.stack([torch.cat([value.flatten() for value in update.values()]) for update in gradients.updates])
    error = (each - flat).norm(dim=1).square().mean().sqrt() / 60**0.5
    assert (flat - expected).norm() < 2 * error
    assert error < 0.3 * expected.norm()
