"""Language models at the table: whatever they say the hand goes on, and what can't be loaded is one clear line."""

import hashlib
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.language_model.adapter import WEIGHTS
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.players import llm
from poker_env.players.llm import LLMPlayer, PokerLLMAgent, load_llm_player
from poker_env.players.poker_config import FILE_NAME, PokerConfig
from poker_env.prompts import STYLES, build_messages, parse_answer
from poker_env.state import HandState
from poker_env.table import play

HOLDEM = make_game("holdem")
GAMES = ["kuhn", "leduc", "holdem"]
END = "<|end|>"

PROMPT = """\
You are playing heads-up no-limit Texas Hold'em.
Blinds: small blind 50, big blind 100.
Street: Flop
Board cards: Kh 7d 2c
Your hole cards: As Ah
Pot size: 350

Legal actions:
- A0: Check (no chips added).
- A1: Bet 175 into the pot.
- A2: Bet 350 into the pot.

Respond with exactly ONE action token from the list above."""


@pytest.fixture(scope="module", autouse=True)
def _float32_without_a_hub():
    """So that batched and single forward passes agree to the token, and names of no model fail at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("poker_env.language_model.loading.best_dtype", lambda: torch.float32)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture
def player(tiny_model_dir) -> LLMPlayer:
    return load_llm_player(str(tiny_model_dir), HOLDEM)


def save_adapter(base: Path, folder: Path, config: PokerConfig) -> Path:
    """A LoRA adapter that changes what the model says."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(load_model(str(base)), lora).save_pretrained(folder)
    config.save(folder)
    return folder


@pytest.fixture(scope="module")
def kuhn_adapter(tiny_model_dir, tmp_path_factory) -> Path:
    config = PokerConfig(make_game("kuhn"), str(tiny_model_dir), "classic", max_new_tokens=3)
    return save_adapter(tiny_model_dir, tmp_path_factory.mktemp("adapters") / "kuhn", config)


@pytest.fixture
def adapter(kuhn_adapter, tmp_path) -> Path:
    """A copy to damage."""
    return shutil.copytree(kuhn_adapter, tmp_path / "adapter")


def test_an_adapter_of_all_linear_layers_loads_without_a_word(adapter):
    settings = json.loads((adapter / "adapter_config.json").read_text())
    settings |= {"target_modules": "all-linear", "exclude_modules": r".*\.router"}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load_llm_player(str(adapter), make_game("kuhn"))
    assert not [str(warning.message) for warning in said if "exclude_modules" in str(warning.message)]


def parrot(folder: Path, text: str, max_new_tokens: int = 6, game=HOLDEM) -> LLMPlayer:
    """A player whose model says one text, as one token, over and over. Its weights see to that, nothing is patched."""
    model, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))
    if text not in tokenizer.get_vocab():
        tokenizer.add_tokens([text])
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.5  # feature 0 stays constant, of the new token too
        model.lm_head.weight.zero_()
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(text), 0] = 1_000.0
    return LLMPlayer(model, tokenizer, PokerConfig(game, str(folder), max_new_tokens=max_new_tokens))


@pytest.mark.parametrize("spec", GAMES)
@pytest.mark.parametrize(
    ("text", "max_new_tokens"),
    [
        (END, 6),  # nothing at all
        ("<|unknown|>", 6),
        ("A9", 6),
        ("rubbish " * 10, 125),  # 10,000 characters, step by step
        ("\u2028 ♠\x00", 6),
        ("x" * 10_000, 1),  # and at once
    ],
    ids=["nothing", "special", "A9", "long", "odd", "long_token"],
)
def test_an_llm_that_answers_nothing_legal_never_stops_the_table(tiny_model_dir, spec, text, max_new_tokens):
    game = make_game(spec)
    hero = parrot(tiny_model_dir, text, max_new_tokens, game)
    deals = make_deals(game, 4, 0)
    for hand in play(game, deals, hero, make_player("call", game)):
        (decision,) = hand.hero_decisions
        blinds = (100, 50) if spec == "holdem" else (1, 1)
        assert hand.decisions[-1] is decision
        assert not decision.legal
        assert not hand.showdown
        assert hand.payoff == -blinds[hand.hero_seat]
        assert decision.answer.completion == ("" if text.startswith("<|") else text * max_new_tokens)
        assert len(decision.answer.completion_ids) == (1 if text == END else max_new_tokens)


def test_an_illegal_answer_later_costs_what_was_put_in(tiny_model_dir):
    """A2 is a bet or a raise as long as there is one; facing an all-in the menu ends with A1."""
    hero = parrot(tiny_model_dir, "A2.")
    hands = play(HOLDEM, make_deals(HOLDEM, 30, 0), hero, make_player("random", HOLDEM))
    lost = [hand for hand in hands if not hand.decisions[-1].legal]
    assert lost
    for hand in lost:
        *earlier, last = hand.hero_decisions
        assert last is hand.decisions[-1]
        assert all(decision.legal for decision in earlier)
        assert hand.payoff == -max((decision.move.to for decision in earlier), default=(100, 50)[hand.hero_seat])


def test_a_legal_answer_is_played_and_ends_the_completion(tiny_model_dir):
    hands = play(HOLDEM, make_deals(HOLDEM, 6, 0), parrot(tiny_model_dir, "A1. "), make_player("call", HOLDEM))
    first = [hand.hero_decisions[0] for hand in hands]
    assert {decision.answer.completion for decision in first} == {"A1. "}
    assert {decision.move.kind for decision in first} == {"call", "raise"}  # by seat


@pytest.mark.parametrize("spec", GAMES)
@pytest.mark.parametrize("style", STYLES)
def test_a_random_model_plays_whole_hands(tiny_model_dir, spec, style):
    game = make_game(spec)
    model, tokenizer = load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir))
    config = PokerConfig(game, str(tiny_model_dir), style, (0.5, 1.0), max_new_tokens=5)
    hands = play(game, make_deals(game, 60, 0), LLMPlayer(model, tokenizer, config), make_player("random", game))
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    assert {decision.legal for decision in decisions} == {True, False}
    for hand in hands:
        state = HandState(game, hand.deal)
        for decision in hand.decisions:
            if decision.seat == hand.hero_seat:
                observation = state.observe()
                menu = make_menu(observation, (0.5, 1.0))
                messages = build_messages(observation, menu, style)
                answer = decision.answer
                assert answer.prompt == "\n".join(message["content"] for message in messages)
                assert tokenizer.decode(answer.prompt_ids) == tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, tokenize=False
                )
                assert answer.completion == tokenizer.decode(answer.completion_ids, skip_special_tokens=True)
                assert 1 <= len(answer.completion_ids) <= 5
                item = parse_answer(answer.completion, menu)
                assert answer.action == (item and item.action)
            if decision.move:
                state.apply(decision.move.action)


def test_answers_do_not_depend_on_the_batch(tiny_model_dir):
    model, tokenizer = load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir))
    config = PokerConfig(HOLDEM, str(tiny_model_dir))
    observations = [HandState(HOLDEM, deal).observe("hero0") for deal in make_deals(HOLDEM, 40, 0)]
    answers = LLMPlayer(model, tokenizer, config, batch_size=40).act(observations)
    assert LLMPlayer(model, tokenizer, config, batch_size=3).act(observations) == answers
    single = LLMPlayer(model, tokenizer, config)
    assert [single.act([observation])[0] for observation in observations[::-1]][::-1] == answers
    assert len({answer.completion for answer in answers}) > 10


def test_replicas_say_different_things(player):
    (deal,) = make_deals(HOLDEM, 1, 0)
    hands = play(HOLDEM, [deal], player, make_player("call", HOLDEM), replicas=20)
    assert len({hand.hero_decisions[0].answer.completion for hand in hands}) > 5


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ("", False),
        ("A1", False),  # may become A10
        ("A10", False),
        ("A1 ", True),
        ("A1.", True),
        ("A1x", False),
        ("A9 ", False),
        ("A9 A0", False),
        ("A9 A0\n", True),
        ("I say A1, and", True),
    ],
)
def test_a_completion_ends_after_its_first_legal_token(player, monkeypatch, said, enough):
    verdicts = []

    def no_sampling(*_, answered, **__):
        verdicts.append(answered(1, player.tokenizer.encode(said)))
        return [[], []]

    monkeypatch.setattr(llm, "sample_completions", no_sampling)
    player.complete([[5], [6]], [["A9"], ["A0", "A1"]], [0, 0])
    assert verdicts == [enough]


def test_random_completions_go_no_further_than_they_must(player):
    observations = [HandState(HOLDEM, deal).observe() for deal in make_deals(HOLDEM, 200, 0)]
    menus = [make_menu(observation) for observation in observations]
    early = 0
    for answer, menu in zip(player.act(observations), menus, strict=True):
        ids = answer.completion_ids
        for length in range(1, len(ids)):
            text = player.tokenizer.decode(ids[:length])
            item = parse_answer(text, menu)
            assert item is None or text.endswith(item.token), "it had answered"
        early += len(ids) < player.config.max_new_tokens
    assert early > 50


def test_an_adapter_plays_as_it_was_trained(kuhn_adapter, tiny_model_dir):
    kuhn = make_game("kuhn")
    player = make_player(f"llm:{kuhn_adapter}", kuhn)
    assert player.config == PokerConfig(kuhn, str(tiny_model_dir), "classic", max_new_tokens=3)
    assert player.name == f"llm:{kuhn_adapter}"
    assert player.sha256 == hashlib.sha256((kuhn_adapter / WEIGHTS).read_bytes()).hexdigest()
    assert not player.model.training
    hands = play(kuhn, make_deals(kuhn, 20, 0), player, make_player("random", kuhn))
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    assert all(decision.answer.prompt.startswith("You are playing heads-up Kuhn poker.") for decision in decisions)
    assert max(len(decision.answer.completion_ids) for decision in decisions) == 3


def test_an_adapters_weights_count(kuhn_adapter, tiny_model_dir):
    ids = torch.tensor([[5, 6, 7]])
    trained = make_player(f"llm:{kuhn_adapter}", make_game("kuhn")).model
    with torch.no_grad():
        difference = trained(ids).logits - load_model(str(tiny_model_dir))(ids).logits
    assert difference.abs().max() > 0.01


def test_an_adapter_plays_other_stakes_of_its_game(tiny_model_dir, tmp_path):
    folder = save_adapter(tiny_model_dir, tmp_path / "adapter", PokerConfig(HOLDEM, str(tiny_model_dir)))
    shallow = make_game("holdem:stack=1000")
    player = load_llm_player(str(folder), shallow)
    assert player.config == PokerConfig(shallow, str(tiny_model_dir))
    assert len(play(shallow, make_deals(shallow, 4, 0), player, make_player("call", shallow))) == 4


def _truncate(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _edit(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


DAMAGES = {
    "truncated": (lambda folder: _truncate(folder / WEIGHTS), "can't be loaded"),
    "empty weights": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "can't be loaded"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "has no weights"),
    "a pickle": (
        lambda folder: (folder / WEIGHTS).rename(folder / "adapter_model.bin"),
        "has no weights",
    ),
    "no config": (lambda folder: (folder / FILE_NAME).unlink(), FILE_NAME),
    "broken config": (lambda folder: _truncate(folder / FILE_NAME), "not a usable poker config"),
    "unknown keys": (lambda folder: _edit(folder / FILE_NAME, dreaming=True), "unknown keys ['dreaming']"),
    "no base": (lambda folder: _edit(folder / FILE_NAME, base_model="/no/such/model"), "/no/such/model"),
    "no adapter config": (lambda folder: (folder / "adapter_config.json").unlink(), "can't be loaded"),
    "broken adapter config": (lambda folder: _truncate(folder / "adapter_config.json"), "can't be loaded"),
    "another rank": (lambda folder: _edit(folder / "adapter_config.json", r=8), "can't be loaded"),
}


@pytest.mark.parametrize(("damage", "mentions"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_adapters_are_user_errors(adapter, damage, mentions):
    damage(adapter)
    with pytest.raises(UserError) as caught:
        make_player(f"llm:{adapter}", make_game("kuhn"))
    assert mentions in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_game(kuhn_adapter):
    with pytest.raises(UserError, match="was trained on kuhn, not on holdem"):
        make_player(f"llm:{kuhn_adapter}", HOLDEM)


@pytest.mark.parametrize("path", ["/no/such/folder", "no/such-model", "."])
def test_paths_without_a_model(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="can't load model"):
        make_player(f"llm:{path}", HOLDEM)


def test_a_loaded_agent_answers_with_a_listed_token(kuhn_adapter):
    agent = PokerLLMAgent.load(str(kuhn_adapter))
    tokens = [agent.get_action_token(PROMPT) for _ in range(10)]
    assert set(tokens) <= {"A0", "A1", "A2"}
    again = PokerLLMAgent.load(str(kuhn_adapter))
    assert [again.get_action_token(PROMPT) for _ in range(10)] == tokens


def test_the_agent_draws_anew_unless_told_its_seed(player):
    agent = PokerLLMAgent(player)
    assert {agent.get_action_token(PROMPT) for _ in range(30)} == {"A0", "A1", "A2"}
    by_seed = [agent.get_action_token(PROMPT, seed) for seed in range(10)]
    assert [agent.get_action_token(PROMPT, seed) for seed in range(10)] == by_seed
    assert len(set(by_seed)) > 1


@pytest.mark.parametrize(
    ("said", "token"),
    [(END, "A0"), ("A9 ", "A0"), ("rubbish ", "A0"), ("A2. ", "A2"), ("A1A1 A2 ", "A2"), ("A10 ", "A0")],
)
def test_the_agent_falls_back_to_the_first_token(tiny_model_dir, said, token):
    assert PokerLLMAgent(parrot(tiny_model_dir, said)).get_action_token(PROMPT) == token


def test_the_agent_reads_what_the_table_asks(player):
    """A prompt of the game in the agent's hands: one of its menu's tokens comes back."""
    agent = PokerLLMAgent(player)
    rng = np.random.default_rng(0)
    for deal in make_deals(HOLDEM, 5, 0):
        hand = HandState(HOLDEM, deal)
        while not hand.done:
            menu = make_menu(hand.observe())
            (message,) = build_messages(hand.observe(), menu, "classic")
            assert agent.get_action_token(message["content"]) in [item.token for item in menu]
            hand.apply(menu[rng.integers(len(menu))].action)


@pytest.mark.parametrize("prompt", ["", "What shall I do?", "Answer with one action token, like A1.", "- a0: Check"])
def test_the_agent_needs_a_prompt_with_tokens(player, prompt):
    with pytest.raises(UserError, match="lists no action tokens"):
        PokerLLMAgent(player).get_action_token(prompt)


def test_the_agent_needs_an_adapter(tiny_model_dir, tmp_path):
    for path in (tiny_model_dir, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="not a trained adapter"):
            PokerLLMAgent.load(str(path))


def ask_again_and_again(observation, times):
    return [replace(observation, coin_seed=seed) for seed in range(times)]


@pytest.mark.parametrize("spec", GAMES)
def test_the_policy_is_a_lower_bound_of_how_often_an_action_is_taken(tiny_model_dir, spec):
    """Of this model it is no more: it also names tokens later on, or after a blank."""
    game, times = make_game(spec), 3_000
    player = load_llm_player(str(tiny_model_dir), game)
    observation = HandState(game, make_deals(game, 1, 0)[0]).observe()
    (policy,) = player.policy([observation])
    taken = [answer.action for answer in player.act(ask_again_and_again(observation, times))]
    assert policy.keys() == {item.action for item in make_menu(observation)}
    assert 0.05 < sum(policy.values()) < 1
    for action, probability in policy.items():
        frequency = taken.count(action) / times
        assert frequency > probability - 4 * (probability * (1 - probability) / times) ** 0.5
    assert sum(policy.values()) < 1 - taken.count(None) / times


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_policy_is_how_often_answers_begin_with_the_token(tiny_model_dir, temperature):
    game, times = make_game("leduc"), 4_000
    config = PokerConfig(game, str(tiny_model_dir), temperature=temperature)
    player = LLMPlayer(load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir)), config)
    observation = HandState(game, make_deals(game, 1, 3)[0]).observe()
    (policy,) = player.policy([observation])
    said = [answer.completion_ids for answer in player.act(ask_again_and_again(observation, times))]
    letters = set(player.tokenizer.convert_tokens_to_ids([*map(chr, range(48, 58)), *map(chr, range(97, 123))]))
    letters |= set(player.tokenizer.convert_tokens_to_ids([*map(chr, range(65, 91)), *(f"A{i}" for i in range(10))]))
    for item in make_menu(observation):
        ((token,),) = player.spellings(item.token)
        begun = sum(ids[0] == token and ids[1] not in letters for ids in said) / times
        probability = policy[item.action]
        assert abs(begun - probability) < 4 * (probability * (1 - probability) / times) ** 0.5 + 1e-3


def test_a_policy_of_many_observations_is_that_of_each(player):
    observations = [HandState(HOLDEM, deal).observe() for deal in make_deals(HOLDEM, 20, 0)]
    together = player.policy([*observations, *observations[::-1]])
    assert together[:20] == together[20:][::-1]
    for observation, policy in zip(observations, together, strict=False):
        assert player.policy([observation])[0] == pytest.approx(policy, rel=1e-3)


@pytest.mark.parametrize(
    ("said", "expected"), [("A1 ", 0), ("A1", 0), (END, 0), ("A10", 0)], ids=["a blank", "again", "the end", "A10"]
)
def test_what_is_no_answer_has_no_probability(tiny_model_dir, said, expected):
    """A parrot never says the token of A1 and then ends it, though `A1 ` in one piece is read as A1."""
    observation = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0]).observe()
    (policy,) = parrot(tiny_model_dir, said).policy([observation])
    assert sum(policy.values()) == pytest.approx(expected, abs=1e-6)


def test_a_token_that_fills_the_answer_needs_no_end(tiny_model_dir):
    observation = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0]).observe()
    player = parrot(tiny_model_dir, "A1", max_new_tokens=1)
    assert player.policy([observation])[0][1] == pytest.approx(1)
    assert {answer.action for answer in player.act(ask_again_and_again(observation, 10))} == {1}
