"""Models that think before they act: read alike wherever they play, trained by the gradient of what they said."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_trainer import Gradients, make_config
from rich.console import Console
from scripted import WAYS, say, thinking_model

from poker_env.errors import UserError
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import results
from poker_env.forwarding.generate import TOKENS_AT_ONCE, sample_completions, sample_long_completions
from poker_env.games import make_deals, make_game
from poker_env.hand import read_hands, write_hands
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import PokerLLMAgent
from poker_env.report.page import write_report
from poker_env.table import play
from recipes.frontends.page import thoughts_html
from recipes.frontends.sitting import Sitting
from recipes.frontends.terminal import thought_table
from recipes.options.config import ExploitConfig
from recipes.runs.metrics import epoch_metrics
from recipes.runs.watcher import replay
from recipes.train import make_trainer
from recipes.training.batches import in_parts, texts_of
from recipes.training.rollout import Rollout

KUHN = make_game("kuhn")
THINKS = {"thinking": True, "max_completion_length": 64, "rewards": "chips illegal", "rows_per_epoch": None}


@pytest.fixture(scope="module")
def model_dir(tiny_model_dir, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("poker_env.language_model.loading.best_dtype", lambda: torch.float32)
        yield thinking_model(tiny_model_dir, tmp_path_factory.mktemp("thinking") / "model")


def made(model_dir, tmp_path, **options):
    """A trainer of a model that thinks, and what records its gradients."""
    options = {name: value for name, value in {**THINKS, **options}.items() if value is not None}
    defaults = {"episodes_per_epoch": 12, "rows_per_epoch": 24, "per_device_train_batch_size": 24}
    config = make_config(model_dir, tmp_path, **{**defaults, **options})
    model, tokenizer, gradients = (
        load_model(str(model_dir), torch.float32),
        load_tokenizer(str(model_dir)),
        Gradients(),
    )
    return make_trainer(config, model, tokenizer, Rollout(config, tokenizer), [gradients]), gradients


def test_every_way_to_think_is_read_right_in_training(model_dir, tmp_path):
    trainer, _ = made(model_dir, tmp_path, episodes_per_epoch=4)
    rollout = trainer.rollout_func
    for way, (text, token) in WAYS.items():
        say(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class, text)
        rows = rollout(["dummy"] * 24, trainer)
        said = [decision for hand in rollout.hands for decision in hand.hero_decisions]
        assert said
        for decision in said:
            assert decision.answer.cut_off is (token is None), way
            assert decision.legal is (token is not None), way
            assert token is None or decision.move.action == 1, way
            assert len(decision.answer.completion_ids) == 2  # the text and its end
        assert sum(map(sum, rows["env_mask"])) == 2 * len(said)
        metrics = rollout.metrics()
        assert (metrics["legal_rate"], metrics["cut_off_rate"]) == ((0, 1) if token is None else (1, 0))
        row = epoch_metrics(1, rollout.epoch, {"loss": 0.0}, 1.0)
        assert row["cut_off_rate"] == metrics["cut_off_rate"]
        told = replay(next(hand for hand in rollout.hands if hand.hero_decisions), rollout.rewards, 1.0)
        assert (", cut off   answered" in told) is (token is None)


def test_every_way_to_think_is_read_right_in_evaluation_in_play_and_by_the_agent(model_dir, tmp_path):
    hero, villain = make_player(f"llm:{model_dir}", KUHN), make_player("call", KUHN)
    assert not isinstance(hero, KnowsItsPolicy)
    agent = PokerLLMAgent.load(str(model_dir))
    assert agent.player.config == hero.config
    prompt = "Legal actions:\n- A0: Check (no chips added).\n- A1: Bet 1 into the pot.\n\nWhich one?"
    for way, (text, token) in WAYS.items():
        say(hero.model, hero.tokenizer, text)
        evaluation = evaluate(KUHN, hero, villain, 4, progress=False)
        record = results(evaluation, "command")
        assert (record["legal_rate"], record["cut_off_rate"]) == ((0, 1) if token is None else (1, 0)), way
        assert record["prompts"][hero.name]["thinking_tokens"] == 64
        for hand in evaluation.hands:
            assert all(decision.move is None or decision.move.action == 1 for decision in hand.hero_decisions), way
        sitting = Sitting(KUHN, hero, seed=1, hero=villain)
        said = [decision for decision in sitting.hand.decisions if decision.seat != sitting.hand.hero_seat]
        assert said
        assert {decision.move.action if decision.move else None for decision in said} == {1 if token else None}, way
        say(agent.player.model, agent.player.tokenizer, text)
        assert agent.get_action_token(prompt) == (token or "A0"), way


def test_thoughts_are_kept_and_shown_folded(model_dir, tmp_path):
    hero, villain = make_player(f"llm:{model_dir}", KUHN), make_player("call", KUHN)
    say(hero.model, hero.tokenizer, WAYS["several candidates"][0])
    evaluation = evaluate(KUHN, hero, villain, 2, progress=False)
    write_hands(tmp_path / "hands.jsonl", evaluation.hands)
    kept = [decision.answer for hand in read_hands(tmp_path / "hands.jsonl") for decision in hand.hero_decisions]
    assert {(answer.thought, answer.completion) for answer in kept} == {("A0", "Either A0 or A1: A1")}
    assert "Think in at most 24 words, then answer with one token like A1." in kept[0].prompt
    write_report(tmp_path, evaluation, results(evaluation, "command"))
    page = (tmp_path / "report.html").read_text()
    assert '<details id="thinking"><summary>Thought</summary>' in page
    assert '"thought": "A0"' in page or '"thought":"A0"' in page
    assert "Thoughts cut off" in page
    sitting = Sitting(KUHN, hero, seed=1, hero=villain)
    shown = thoughts_html(sitting.thoughts(), "hero")
    assert "<details><summary>What it thought</summary>\n<pre>A0</pre></details>" in shown
    assert "Either A0 or A1: A1" in shown
    console = Console(width=100, file=io.StringIO(), markup=False)
    for thought in sitting.thoughts():
        console.print(thought_table(thought, "llm:a/name/of/some/length"))
        console.print(thought_table(replace(thought, mused="", said=""), "llm:a/name/of/some/length"))
    lines = console.file.getvalue()
    assert "A0 → Either A0 or A1: A1" in lines and "(no thought) → (nothing)" in lines
    assert "llm:a/name/of/some/length, Preflop" in lines  # in one line, be the table ever so narrow


def test_long_completions_are_those_of_the_short_sampler(model_dir, tiny_model_dir, monkeypatch):
    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    prompts = [tuple(range(5, 5 + length)) for length in (3, 9, 6, 3)]
    options = {"max_new_tokens": 12, "eos_ids": [tokenizer.eos_token_id], "temperature": 0.9}
    seeds = [11, 12, 13, 14]
    expected = sample_completions(model, prompts, seeds, answered=lambda row, ids: False, **options)
    for at_once in (1, 10_000):
        monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", at_once)
        found = sample_long_completions(model, prompts, seeds, pad_id=0, **options)
        assert found == expected
    assert expected[0] != expected[3]


def plain_gradient(model, rows, weights, factors=None):
    """Of -sum of weight * advantage * log p over the tokens there are, by plain autograd, a text at a time."""
    tokens, loss = sum(map(sum, rows["env_mask"])), torch.zeros(())
    totals = [float(np.dot(credit, weights)) for credit in rows["credit"]]
    texts = zip(rows["prompt_ids"], rows["completion_ids"], rows["env_mask"], totals, strict=True)
    for place, (prompt, answer, mask, total) in enumerate(texts):
        if not any(mask):
            continue
        logits = model(torch.tensor([[*prompt, *answer]])).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
        logps = logits.gather(1, torch.tensor(answer)[:, None])[:, 0]
        advantage = (total - np.mean(totals)) * (1.0 if factors is None else factors[place])
        loss = loss - advantage * (torch.tensor(mask) * logps).sum() / tokens
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


def trained(trainer, gradients):
    """An update's gradient, the rows it is of, and the model as it was before."""
    rows, roll_out = [], trainer.rollout_func

    def recorded(prompts, asking):
        rows.append(roll_out(prompts, asking))
        return rows[-1]

    recorded.metrics = roll_out.metrics
    trainer.rollout_func = recorded
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) / 10)
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    trainer.train()
    trainer.model.load_state_dict(before)
    return gradients.updates[0], rows[0]


def assert_same(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    assert max(float(gradient.norm()) for gradient in expected.values()) > 1e-4
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) <= tolerance * max(1.0, float(gradient.norm())), name


@pytest.mark.parametrize("options", [{}, {"variance_reduction": "chance range villain baseline"}], ids=str)
def test_a_model_that_thinks_learns_by_the_gradient_of_what_it_said(tiny_model_dir, model_dir, tmp_path, options):
    trainer, gradients = made(tiny_model_dir, tmp_path, villain="cfr", **options)
    trainer.tokens_per_tree = 150  # a text or two at a time, though their prompts are the same
    found, rows = trained(trainer, gradients)
    lengths = [len(ids) for ids, mask in zip(rows["completion_ids"], rows["env_mask"], strict=True) if any(mask)]
    assert max(lengths) > 6
    assert max(lengths) <= 64
    assert_same(found, plain_gradient(trainer.model, rows, [1.0, 1.0]))


def test_the_same_seed_gives_the_same_hands(tiny_model_dir, model_dir, tmp_path):
    trainer, _ = made(tiny_model_dir, tmp_path)
    played = []
    for _ in range(2):
        trainer.rollout_func(["dummy"] * 24, trainer)
        played.append(trainer.rollout_func.hands)
        torch.rand(7)  # whatever else draws numbers meanwhile
    assert played[0] == played[1]


def test_generation_ends_wherever_the_template_ends_an_answer(tiny_model_dir, tmp_path, monkeypatch):
    """Also where the model itself, by which TRL goes, doesn't know that token."""
    tokenizer = load_tokenizer(str(tiny_model_dir))
    known, other = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("A0")
    monkeypatch.setattr("recipes.train.model_player", lambda *_: SimpleNamespace(end_ids=(other, known)))
    trainer, _ = made(tiny_model_dir, tmp_path)
    said = [own.ids for own in trainer.sampled([(5, 6, 7 + place) for place in range(24)], range(24))]
    assert {ids[-1] for ids in said if len(ids) < 64} == {known, other}
    assert all(token not in (known, other) for ids in said for token in ids[:-1])


def test_many_thoughts_to_one_prompt_are_forwarded_some_at_a_time():
    answers = torch.arange(1, 41).repeat(6, 1) + torch.arange(6)[:, None] * 50
    batch = {
        "prompt_ids": torch.ones(6, 10, dtype=torch.long),
        "prompt_mask": torch.ones(6, 10, dtype=torch.long),
        "completion_ids": answers,
        "completion_mask": torch.ones_like(answers),
        "tool_mask": torch.ones_like(answers),
    }
    parts = in_parts(batch, 100, whole_prompts=False)
    assert [len(texts_of(part)) for part in parts] == [2, 2, 2]
    assert len(in_parts(batch, 100)) == 1


class FakeVLLM:
    """vLLM as the stock trainer sees it: says what the model does, each token a little less probable than it is."""

    def __init__(self, **options):
        self.options, self.generation_kwargs = options, options["generation_kwargs"] or {}
        self.synced, self.calls = 0, []

    def sync_weights(self):
        self.synced += 1

    def generate(self, prompts, images, num_generations, profiler=None):
        assert images is None
        assert num_generations == 1
        self.calls.append(len(prompts))
        model, ends = self.options["model"], self.generation_kwargs["stop_token_ids"]
        length = self.options["max_completion_length"]
        seeds = [100 * len(self.calls) + place // 2 for place in range(len(prompts))]  # some say the same
        said = sample_long_completions(model, prompts, seeds, max_new_tokens=length, eos_ids=ends, pad_id=0)
        logps = []
        for prompt, answer in zip(prompts, said, strict=True):
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *answer]])).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
            found = logits.gather(1, torch.tensor(answer)[:, None])[:, 0] - 0.02
            logps.append([[value] for value in found.tolist()])
        return None, said, logps, None


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_what_vllm_said_is_weighed_by_the_stock_trainer(tiny_model_dir, model_dir, tmp_path, monkeypatch, mode):
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", FakeVLLM)
    monkeypatch.setattr(FakeVLLM, "vllm_client", SimpleNamespace(get_server_info=_served), raising=False)
    options = {"use_vllm": True, "vllm_mode": mode, "vllm_importance_sampling_mode": "sequence_truncate"}
    trainer, gradients = made(tiny_model_dir, tmp_path, **options)
    found, rows = trained(trainer, gradients)
    engine = trainer.vllm_generation
    assert engine.options["mode"] == mode
    assert engine.synced == 1
    assert engine.calls
    assert {len(own) for own in rows["logprobs"]} != {1}
    weights = {tuple(mask) for mask in rows["env_mask"]}
    assert all(set(mask) <= {0.0, 1.0} for mask in weights)  # nothing is merged
    ratios = [min(np.exp(0.02 * len(answer)), 3.0) for answer in rows["completion_ids"]]
    # A ratio is of two texts' log-probabilities, sums that are rounded in 32 bits.
    assert_same(found, plain_gradient(trainer.model, rows, [1.0, 1.0], ratios), tolerance=1e-4)


def _served():
    return {"model_config": {"logprobs_mode": "processed_logprobs"}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_completion_length": 6}, "max_completion_length 6 leaves no room to think"),
        ({"variance_reduction": ["hero"]}, "variance_reduction hero needs the probabilities of hero's menu"),
        ({"variance_reduction": ["all_action"]}, "variance_reduction all_action needs the probabilities"),
        ({"warm_start_player": "villain"}, "warm_start_player villain has no thoughts to imitate"),
        ({"exact_eval_every": 1}, "exact_eval_every 1 needs hero's probabilities"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "enable_thinking false: leave one of them out"),
        ({"chat_template_kwargs": {"thinking": False}}, "chat_template_kwargs thinking false: leave one of them out"),
        ({"vllm_mode": "server"}, "vllm_mode 'server' does nothing without use_vllm"),
        ({"use_vllm": True, "vllm_mode": "here"}, "unknown vllm_mode 'here'"),
        ({"use_vllm": True, "vllm_server_port": 80}, "vllm_server_port 80 does nothing without vllm_mode server"),
        (
            {"use_vllm": True, "vllm_mode": "server", "vllm_gpu_memory_utilization": 0.5},
            "vllm_gpu_memory_utilization 0.5 does nothing without vllm_mode colocate",
        ),
        (
            {"use_vllm": True, "vllm_importance_sampling_mode": "none"},
            "unknown vllm_importance_sampling_mode 'none'",
        ),
        (
            {
                "use_vllm": True,
                "vllm_importance_sampling_correction": False,
                "vllm_importance_sampling_clip_max": 2.0,
            },
            "clip_max 2.0 does nothing without vllm_importance_sampling_correction",
        ),
        ({"use_vllm": True, "trained_share": 0.5}, "trained_share 0.5 can't be had with use_vllm"),
        ({"use_vllm": True, "visits_power": 0.5}, "visits_power 0.5 can't be had with use_vllm"),
        ({"thinking": False, "use_vllm": True}, "use_vllm true does nothing without thinking"),
    ],
)
def test_what_thinking_can_not_have_is_refused_in_a_line(options, message):
    with pytest.raises(UserError, match=message):
        ExploitConfig(game="kuhn", **{"thinking": True, "max_completion_length": 64, **options})


def test_answers_of_the_menu_are_refused(model_dir):
    hero = make_player(f"llm:{model_dir}", KUHN)
    with pytest.raises(UserError, match="thinks first, so that its menu"):
        hero.answers = "menu"
    hero.answers = "free"


def test_a_config_without_the_key_does_not_think(model_dir, tmp_path):
    record = json.loads((model_dir / "poker_config.json").read_text())
    del record["thinking"]
    (tmp_path / "poker_config.json").write_text(json.dumps(record))
    from poker_env.players.poker_config import PokerConfig

    config = PokerConfig.load(tmp_path)
    assert not config.thinking
    assert config.think_words is None


def test_hands_do_not_depend_on_those_played_beside_them(tiny_model_dir, model_dir):
    from poker_env.players.poker_config import PokerConfig
    from poker_env.players.thinking import ThinkingPlayer

    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    config = replace(PokerConfig.load(model_dir), max_new_tokens=32)
    deals = make_deals(KUHN, 4, 3)
    villain = make_player("call", KUHN)
    whole = play(KUHN, deals, ThinkingPlayer(model, tokenizer, config), villain)
    alone = [play(KUHN, [deal], ThinkingPlayer(model, tokenizer, config), villain)[0] for deal in deals]
    assert [hand.decisions for hand in whole] == [hand.decisions for hand in alone]
