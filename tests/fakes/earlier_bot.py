"""The earlier bot, github.com/jonrxu/pokerbot: checkpoints as it wrote them, with random weights, and hands to see.

Its networks are made again from their shapes.
"""

from collections import defaultdict

import numpy as np
import torch
from torch import nn

from poker_env.games import HOLDEM_CARDS, Deal, make_game
from poker_env.state import HandState

HOLDEM = make_game("holdem")
CARDS = "As Kd 7c 7h Qh 2s 9d 3c 3d"  # the big blind's, the button's, the board


def observe(*actions, cards=CARDS):
    """What the player to act sees after some of OpenSpiel's actions."""
    hand = HandState(HOLDEM, Deal(tuple(HOLDEM_CARDS.index(card) for card in cards.split()), 0, 0))
    for action in actions:
        hand.apply(action)
    return hand.observe()


class Block(nn.Module):
    """Two linear layers, normalised, around which the input is added once, or twice where the norm is by layers."""

    def __init__(self, norm, skips):
        super().__init__()
        self.fc1, self.fc2, self.bn1, self.bn2 = nn.Linear(512, 512), nn.Linear(512, 512), norm(512), norm(512)
        self.dropout, self.skips = nn.Dropout(0.1), skips

    def forward(self, x):
        inner = self.bn2(self.fc2(self.dropout(self.bn1(self.fc1(x)).relu())))
        for _ in range(self.skips):
            inner = inner + x
        return inner.relu()


class Net(nn.Module):
    """Features to (value, 20 logits)."""

    def __init__(self, n_features, norm=nn.BatchNorm1d, value=True):
        super().__init__()
        self.input_proj, self.input_bn = nn.Linear(n_features, 512), norm(512)
        self.res_blocks = nn.ModuleList([Block(norm, 1 if norm is nn.BatchNorm1d else 2) for _ in range(6)])
        if value:
            self.value_head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 1))
        self.policy_head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 20))

    def forward(self, x):
        inner = self.input_bn(self.input_proj(x))
        for block in self.res_blocks:
            inner = block(inner)
        return self.policy_head(inner)


def random_net(n_features, norm=nn.BatchNorm1d, value=True, seed=0):
    """One whose averages and scales aren't those of a new one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(n_features, norm, value).eval()
        with torch.no_grad():
            for name, buffer in net.named_buffers():
                if name.endswith("running_mean"):
                    buffer.normal_(0, 0.3)
                elif name.endswith("running_var"):
                    buffer.uniform_(0.5, 1.5)
            for name, parameter in net.named_parameters():
                if "bn" in name:
                    parameter.add_(0.2 * torch.randn_like(parameter))
    return net


def checkpoint(layout, memory=None, seed=0):
    """What the trainer of a layout, named by its commit, handed to `torch.save`."""
    n_features = 167 if layout in ("6da8a30", "addbbb4") else 178
    if layout == "421148f":
        net, other = random_net(n_features, nn.LayerNorm, value=False, seed=seed), "advantage"
    else:
        net, other = random_net(n_features, seed=seed), "value"
    optimizer = torch.optim.Adam(net.parameters())
    found = {
        "iteration": 1000,
        f"{other}_net_state": random_net(n_features, seed=seed + 1).state_dict(),
        "policy_net_state": net.state_dict(),
        f"{other}_optimizer_state": optimizer.state_dict(),
        "policy_optimizer_state": optimizer.state_dict(),
    }
    if layout != "421148f":
        found["regret_memory"] = {"p0|h((3, 1), (9, 2))": defaultdict(float, {1: -0.5})}
        found["counterfactual_values"] = {"p0|h((3, 1), (9, 2))": 0.25}
    if layout == "addbbb4":
        found["strategy_memory"] = {key: defaultdict(float, weights) for key, weights in (memory or {}).items()}
        found["metrics"] = {"avg_payoff": np.mean([1.0, 2.0]), "win_rate": 0.5}
    return found
