"""What this project relies on in TRL. When a new TRL moves, these fail, loudly and by name."""

from types import SimpleNamespace

import pytest
import torch

from poker_env.players.llm import LLMPlayer
from poker_env.players.models import load_model, load_tokenizer
from recipes.config import parse_config
from recipes.rollout import Rollout, Row, to_trl
from recipes.train import make_trainer

ROWS = [
    Row((5, 6, 7, 8), (9, 10), (1.0, 0.0)),
    Row((5, 6), (11,), (-2.0, 1.0)),
    Row((5, 9, 9), (12, 13, 14), (0.5, 0.5)),
]
PAD = Row((0,), (0,), None)


class FixedRows:
    """A rollout of rows that are known beforehand."""

    def __init__(self, rows):
        self.rows = rows
        self.prompts = []

    def __call__(self, prompts, trainer):
        self.prompts.append(prompts)
        return to_trl(self.rows)

    def metrics(self):
        return {"bb_per_hand": 1.25}


def make(tiny_model_dir, tmp_path, rows, **overrides):
    """A trainer for one plain gradient step of size one on the rows, in float32."""
    options = {
        "game": "kuhn",
        "dtype": "float32",
        "num_epochs": 1,
        "rows_per_epoch": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 1.0,
        "max_grad_norm": 0,
        "weight_decay": 0,
        "optim": "sgd",
        "rewards": "chips bluff=2.0",
        "model_name_or_path": tiny_model_dir,
        "output_dir": tmp_path,
        **overrides,
    }
    config = parse_config([word for key, value in options.items() for word in (f"--{key}", *str(value).split())])
    tokenizer = load_tokenizer(str(tiny_model_dir))
    model = load_model(str(tiny_model_dir), torch.float32)
    return make_trainer(config, model, tokenizer, FixedRows(rows), [])


def policy_gradient(model, rows, advantages):
    """The gradient of -sum_i A_i log p(completion_i) over the number of trained tokens, by plain autograd."""
    tokens = sum(len(row.completion_ids) for row in rows)
    loss = torch.zeros(())
    for row, advantage in zip(rows, advantages, strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        logps = model(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
        loss = loss - advantage * logps.gather(1, torch.tensor(row.completion_ids)[:, None]).sum() / tokens
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("filling", [[PAD], [ROWS[0]]], ids=["with a pad row", "full"])
def test_each_rows_own_return_minus_the_batch_mean_reaches_the_loss(tiny_model_dir, tmp_path, filling):
    rows = [*ROWS, *filling]
    trainer = make(tiny_model_dir, tmp_path, rows)
    trained = [row for row in rows if row.returns is not None]
    totals = torch.tensor([1.0 * row.returns[0] + 2.0 * row.returns[1] for row in trained])
    expected = policy_gradient(trainer.model, trained, totals - totals.mean())
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    moved = {name: before[name] - weight.detach() for name, weight in trainer.model.named_parameters()}
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(moved[name], gradient, rtol=1e-3, atol=1e-5)
    assert all(torch.equal(moved[name], torch.zeros_like(moved[name])) for name in moved.keys() - expected.keys())


def test_rows_that_are_all_padding_change_nothing_and_stop_nothing(tiny_model_dir, tmp_path):
    trainer = make(tiny_model_dir, tmp_path, [PAD] * 4)
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    for name, weight in trainer.model.named_parameters():
        assert torch.equal(before[name], weight.detach()), name


@pytest.mark.parametrize("rows", [ROWS, [*ROWS, PAD, PAD]], ids=["too few", "too many"])
def test_trl_asks_for_exactly_as_many_rows_as_prompts(tiny_model_dir, tmp_path, rows):
    trainer = make(tiny_model_dir, tmp_path, rows)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it must not pass in silence
        trainer.train()


def test_the_rollout_is_called_once_per_epoch_with_every_row_of_it(tiny_model_dir, tmp_path):
    trainer = make(tiny_model_dir, tmp_path, [*ROWS, PAD], num_epochs=3)
    trainer.train()
    prompts = trainer.rollout_func.prompts
    assert [len(call) for call in prompts] == [4, 4, 4]
    assert all(len(set(call)) == 1 and call[0].startswith("epoch ") for call in prompts)


def test_returns_are_logged_per_reward_function_with_our_own_figures(tiny_model_dir, tmp_path):
    trainer = make(tiny_model_dir, tmp_path, [*ROWS, PAD])
    trainer.train()
    (logs,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs["rewards/chips/mean"] == pytest.approx((1.0 - 2.0 + 0.5) / 3)
    assert logs["rewards/bluff/mean"] == pytest.approx(0.5)
    assert logs["poker/bb_per_hand"] == pytest.approx(1.25)
    assert {"entropy", "grad_norm", "learning_rate"} <= logs.keys()


def test_the_leave_one_out_baseline_is_subtracted(tiny_model_dir, tmp_path):
    overrides = {"baseline": "leave_one_out", "replicas": 2, "rewards": "chips"}
    trainer = make(
        tiny_model_dir, tmp_path, [Row((5,), (9,), (3.0, 2.5)), *[Row((5,), (9,), (0.0, 0.0))] * 3], **overrides
    )
    assert trainer.reward_weights.tolist() == [1.0, -1.0]
    trainer.train()
    (logs,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs["reward"] == pytest.approx((3.0 - 2.5) / 4)


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
