"""An earlier bot's checkpoint becomes a player, and nothing else does; nothing in a file is run."""

import os
import pickle
import zipfile

import earlier_bot
import numpy as np
import pytest
import torch
from earlier_bot import HOLDEM, checkpoint, observe, random_net

from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, make_game
from poker_env.player_specs import make_player
from poker_env.pokerbot.features import encode
from poker_env.pokerbot.layouts import LAYOUTS
from poker_env.pokerbot.opponent_file import convert_opponent, read_tensors
from poker_env.pokerbot.spots import offers, our_actions, spot_of
from recipes.convert import main as convert


def saved(path, found):
    torch.save(found, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("earlier")


@pytest.fixture(scope="module")
def files(folder):
    """A checkpoint of each layout, by its commit."""
    layouts = ("6da8a30", "addbbb4", "1131c79", "421148f")
    return {layout: saved(folder / f"{layout}.pt", checkpoint(layout)) for layout in layouts}


@pytest.mark.parametrize("layout", ["6da8a30", "addbbb4", "1131c79", "421148f"])
def test_each_layout_is_told_and_its_network_is_the_one_of_the_file(files, layout, tmp_path):
    made = convert_opponent(files[layout], tmp_path / "mine.pt")
    assert (made.layout.name, made.iteration, made.n_remembered) == (layout, 1000, None)
    player = make_player(f"cfr:{tmp_path / 'mine.pt'}", HOLDEM)
    seen = [observe(), observe(300, 1), observe(300, 1, 1, 700, 1600), observe(*(1,) * 6, 20_000)]
    found = torch.load(files[layout], weights_only=False)["policy_net_state"]
    width = found["input_proj.weight"].shape[1]
    norm = torch.nn.LayerNorm if layout == "421148f" else torch.nn.BatchNorm1d
    reference = earlier_bot.Net(width, norm, value=layout != "421148f").eval()
    reference.load_state_dict(found)
    for observation, policy in zip(seen, player.policy(seen), strict=True):
        features, actions = what_it_sees(observation, layout)
        with torch.no_grad():
            shares = torch.softmax(reference(features), 1)[0, : len(actions)].double()
        expected = dict.fromkeys(actions, 0.0)
        for action, share in zip(actions, (shares / shares.sum()).tolist(), strict=True):
            expected[action] += share
        assert policy == pytest.approx(expected, abs=1e-5)
        assert sum(policy.values()) == pytest.approx(1)


def what_it_sees(observation, layout):
    """Features, and what each place on the list of actions is in our game."""
    hole = np.array([[HOLDEM_CARDS.index(card) for card in observation.hole]])
    features = encode(spot_of(observation), hole, LAYOUTS[layout])
    return torch.from_numpy(features), our_actions(observation, offers(spot_of(observation), LAYOUTS[layout].sizes))


FIRST = "p1|h((5, 0), (5, 2))|c()|s0|bh()|pot150|stacks(19900, 19950)|bets(100, 50)|btn0"
MEMORY = {
    FIRST: {0: 1.0, 2: 3.0},
    FIRST.replace("(5, 2)", "(5, 3)"): {1: 0.0},
    FIRST.replace("btn0", "btn1"): {0: 1.0},  # its big blind acts first: not by our rules
}


def test_a_memory_decides_where_there_is_one(tmp_path):
    source = saved(tmp_path / "checkpoint_1000.pt", checkpoint("addbbb4", MEMORY))
    assert convert_opponent(source, tmp_path / "mine.pt").n_remembered == 2
    player = make_player(f"cfr:{tmp_path / 'mine.pt'}", HOLDEM)
    first, later = player.policy([observe(), observe(300, 1)])
    assert first == {0: 0.25, 200: 0.75}  # 7h 7c: fold and a minimum raise, 1 to 3
    assert later == {1: 0.4, 400: 0.2, 900: 0.2, 20_000: 0.2}  # never met: five actions, of which folding is a check
    # Without weight, or never met: all four alike.
    actions, rows = player.range_policy(observe())
    assert actions == (0, 1, 200, 20_000)
    assert (rows.sum(axis=1) == 1).all()
    assert sorted(set(map(tuple, rows.tolist()))) == [(0.25, 0, 0.75, 0), (0.25, 0.25, 0.25, 0.25)]


def test_or_the_network_when_told_so(tmp_path):
    source = saved(tmp_path / "checkpoint_1000.pt", checkpoint("addbbb4", MEMORY))
    convert([*map(str, ("opponent", source, tmp_path / "net.pt")), "--by_network"])
    policy = make_player(f"cfr:{tmp_path / 'net.pt'}", HOLDEM).policy([observe()])[0]
    assert sorted(policy) == [0, 1, 200, 20_000] and policy[0] != 0.25


def test_what_is_in_the_file(files, tmp_path, capsys):
    convert(["opponent", str(files["1131c79"]), str(tmp_path / "mine.pt")])
    assert "layout 1131c79, iteration 1,000) decides by its policy network" in capsys.readouterr().out
    content = torch.load(tmp_path / "mine.pt", weights_only=True)
    assert content["kind"] == "pokerbot" and content["layout"] == "1131c79"
    assert content["game"] == {"name": "holdem", "small_blind": 50, "big_blind": 100, "stack": 20_000}
    assert len(content["source"]["sha256"]) == 64 and content["source"]["file"] == "1131c79.pt"
    assert all(isinstance(tensor, torch.Tensor) for tensor in content["network"].values())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_is_never_run(tmp_path, writer):
    trap = tmp_path / "trap"
    found = {**checkpoint("addbbb4"), "metrics": Payload(trap)}
    source = tmp_path / "checkpoint_1000.pt"
    if writer == "torch":
        torch.save(found, source)
    else:
        source.write_bytes(pickle.dumps({"policy_net_state": Payload(trap)}))
    message = refused(source, tmp_path)
    assert "is refused: it is a pickle" in message and "can run code" in message
    assert "that asks for posix.mkdir" in message or writer == "pickle"
    assert not trap.exists()
    with pytest.raises(UserError, match="is refused"):
        make_player(f"cfr:{source}", HOLDEM)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Payload(trap)))
    assert trap.exists()  # it would have


def refused(source, tmp_path, output="out.pt"):
    """The one line that a conversion ends with; nothing is written."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError) as error:
        convert_opponent(source, tmp_path / output)
    assert sorted(tmp_path.iterdir()) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_files_are_refused(files, tmp_path):
    assert "no checkpoint at" in refused(tmp_path / "missing.pt", tmp_path)
    assert "is a folder" in refused(tmp_path, tmp_path)
    half = tmp_path / "half.pt"
    half.write_bytes(files["addbbb4"].read_bytes()[:100_000])
    assert "is damaged or no PyTorch file" in refused(half, tmp_path)
    half.write_bytes(b"")
    assert "is damaged" in refused(half, tmp_path)
    half.write_text("not a checkpoint")
    assert "half.pt is" in refused(half, tmp_path)
    with zipfile.ZipFile(half, "w") as archive:
        archive.writestr("a", "b")
    assert "is damaged" in refused(half, tmp_path)


def test_other_layouts_are_refused_with_what_is_there(tmp_path):
    other = tmp_path / "other.pt"
    language_model = {"epoch": 3, "model_state_dict": {}, "optimizer_state_dict": {}, "metrics": {}}
    found = refused(saved(other, language_model), tmp_path)
    assert found.endswith("it holds epoch, model_state_dict, optimizer_state_dict, metrics")
    assert "it holds list" in refused(saved(other, [1, 2]), tmp_path)
    assert "(512, 170)" in refused(saved(other, {"policy_net_state": random_net(170).state_dict()}), tmp_path)
    layers = {"policy_net_state": random_net(167, torch.nn.LayerNorm).state_dict()}
    assert "(512, 167)" in refused(saved(other, layers), tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("res_blocks.3.fc1.bias", lambda tensor: tensor.fill_(float("nan")), "holds NaN"),
        ("policy_head.2.weight", lambda tensor: tensor.mul_(float("inf")), "holds NaN, infinite"),
        ("res_blocks.0.bn2.running_var", lambda tensor: tensor.neg_(), "impossible"),
        ("policy_head.2.weight", lambda tensor: tensor[:10].clone(), r"float32 (10, 256), not a float (20, 256)"),
        ("input_bn.bias", lambda tensor: tensor.long(), "int64"),
        ("res_blocks.5.fc2.weight", lambda tensor: None, "no tensor 'res_blocks.5.fc2.weight'"),
    ],
)
def test_impossible_networks_are_refused(tmp_path, name, change, says):
    weights = random_net(167).state_dict()
    weights[name] = change(weights[name])
    message = refused(saved(tmp_path / "bad.pt", {"policy_net_state": weights, "strategy_memory": {}}), tmp_path)
    assert says in message and name in message


@pytest.mark.parametrize("weights", [{0: float("nan")}, {0: -1.0}, {"a": 1.0}, {0: "b"}, [1.0], {-1: 1.0}])
def test_impossible_memories_are_refused(tmp_path, weights):
    found = {**checkpoint("addbbb4"), "strategy_memory": {FIRST: weights}}
    assert "impossible weights" in refused(saved(tmp_path / "bad.pt", found), tmp_path)


def test_nothing_is_written_over(files, tmp_path):
    taken = saved(tmp_path / "mine.pt", {})
    assert "exists already" in refused(files["addbbb4"], tmp_path, "mine.pt")
    assert "ends in .pt" in refused(files["addbbb4"], tmp_path, "mine.npz")
    assert read_tensors(taken) == {}


def test_a_file_that_is_no_player_is_refused(files, tmp_path):
    with pytest.raises(UserError, match=r"recipes/convert.py opponent .*addbbb4.pt NEW.pt"):
        make_player(f"cfr:{files['addbbb4']}", HOLDEM)
    convert_opponent(files["addbbb4"], tmp_path / "mine.pt")
    with pytest.raises(UserError, match="use --game holdem:small_blind=50"):
        make_player(f"cfr:{tmp_path / 'mine.pt'}", make_game("holdem:stack=2000"))
    with pytest.raises(UserError, match="is a network"):
        make_player(f"cfr:{tmp_path / 'mine.pt'}+river", HOLDEM)
    content = torch.load(tmp_path / "mine.pt", weights_only=True)
    del content["network"]["policy_head.0.bias"]
    with pytest.raises(UserError, match="is damaged"):
        make_player(f"cfr:{saved(tmp_path / 'damaged.pt', content)}", HOLDEM)
