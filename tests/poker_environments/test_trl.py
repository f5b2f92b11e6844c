"""TRL's stock GRPOTrainer plays our hands by `environment_factory`."""

import pytest
from scripted_answers import ScriptedHero, scripted_answer
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import is_chat_template_prefix_preserving, parse_response, supports_tool_calling

from poker_env.games import make_deals
from poker_env.table import play
from poker_environments.episode import make_table
from poker_environments.trl import PokerHand, answer_plainly, deals, environment_factory


@pytest.fixture
def tokenizer(tiny_model_dir):
    found = AutoTokenizer.from_pretrained(tiny_model_dir)
    answer_plainly(found)
    return found


@pytest.mark.parametrize(
    ("game", "villain", "style", "count"),
    [("kuhn", "cfr:weak", "compact", 1000), ("leduc", "cfr", "brief", 1000), ("holdem", "random", "classic", 100)],
)
def test_payoffs_are_those_of_the_table(game, villain, style, count):
    table = make_table(game, villain, style, seed=4)
    rows = deals(table, count)
    environment, found = environment_factory(table)(), []
    for row in rows:
        told = environment.reset(**row)
        while not environment.episode.done:
            told = environment.act(scripted_answer(told))
        assert environment.get_reward() == pytest.approx(environment.episode.hand.payoff_bb)
        assert told == environment.episode.outcome
        found.append(environment.episode.hand.payoff)
    all_deals = make_deals(table.game, max(rows["deal"]) + 1, seed=4)
    expected = play(table.game, [all_deals[deal] for deal in rows["deal"]], ScriptedHero(style), table.villain)
    assert found == [hand.payoff for hand in expected]


def test_prompts_are_those_of_the_table():
    table = make_table("leduc", "call")
    (row,) = deals(table, 1, start=3)
    told = PokerHand(table).reset(**row)
    assert [*row["prompt"][:-1], {"role": "user", "content": told}] == table.episode(row["deal"]).messages


def test_a_hand_left_in_the_middle_is_given_up():
    environment = PokerHand(make_table("kuhn", "call", rewards=["chips", "illegal"]))
    environment.reset(deal=0)
    assert environment.get_reward() == -1.5 and environment.episode.illegal


def test_plain_answers_are_calls(tokenizer):
    assert supports_tool_calling(tokenizer) and is_chat_template_prefix_preserving(tokenizer)
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "hm"}]
    call = {"type": "function", "function": {"name": "act", "arguments": {"answer": "A1"}}}
    talk = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "act", "content": "next"},
    ]
    plain = [said[0], {"role": "assistant", "content": "A1"}, {"role": "user", "content": "next"}]
    original = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) == original
    prefix = tokenizer(original)["input_ids"]
    parsed = parse_response(tokenizer, tokenizer("so A1!<|end|>")["input_ids"], prefix=prefix)
    (made,) = parsed["tool_calls"]
    assert made["function"]["name"] == "act" and made["function"]["arguments"]["answer"].startswith("so A1!")


@pytest.mark.slow
def test_the_stock_trainer_trains(tokenizer, tiny_model_dir, tmp_path):
    table, steps, hands = make_table("kuhn", "cfr:weak", rewards=["chips", "illegal"], seed=2), 20, 32
    options = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=steps,
        per_device_train_batch_size=hands,
        num_generations=8,
        max_completion_length=300,
        max_tool_calling_iterations=2,
        generation_kwargs={"max_new_tokens": 1},
        learning_rate=1e-3,
        report_to="none",
        use_cpu=True,
        bf16=False,
        logging_steps=1,
        save_strategy="no",
        seed=0,
    )
    seen = []

    def watch(environments, **_):
        for environment in environments:
            environment.get_reward()  # ends what was left in the middle
            seen.append(environment.episode)
        return [0.0] * len(environments)

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model_dir),
        args=options,
        reward_funcs=watch,
        train_dataset=deals(table, 64),
        environment_factory=environment_factory(table),
        processing_class=tokenizer,
    )
    trainer.train()
    assert {episode.hand.deal for episode in seen} <= set(make_deals(table.game, 64, seed=2))
    by_step = [seen[first : first + hands] for first in range(0, len(seen), hands)]
    logged = [line["rewards/PokerHand/mean"] for line in trainer.state.log_history if "rewards/PokerHand/mean" in line]
    assert logged == pytest.approx([sum(episode.reward for episode in step) / hands for step in by_step], abs=1e-5)
    assert len(logged) == steps
    illegal = [sum(episode.illegal for episode in step) for step in by_step]
    assert sum(illegal[-5:]) < sum(illegal[:5]) / 2  # it learns which answers are legal
