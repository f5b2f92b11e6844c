"""The network of Deep CFR: cards and betting in, a number for each action out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from poker_env.cfr.deep.game import NO_CARD, Deck, DeepGame
from poker_env.cfr.deep.traverse import Choose, match_regrets

PARTS = 20
"""That a strength's scale is cut into."""


class CardEmbedding(nn.Module):
    """Cards as vectors: each is the sum of those of its rank, its suit and itself, in the group it is seen in."""

    starts: torch.Tensor

    def __init__(self, deck: Deck, width: int) -> None:
        super().__init__()
        self.deck = deck
        groups = len(deck.groups)
        self.card = nn.Parameter(torch.randn(groups, deck.ranks, deck.suits, width))
        self.rank = nn.Parameter(torch.randn(groups, deck.ranks, 1, width))
        self.suit = nn.Parameter(torch.randn(groups, 1, deck.suits, width))
        per_group = deck.ranks * deck.suits
        starts = torch.repeat_interleave(torch.arange(groups) * per_group, torch.tensor(deck.groups))
        self.register_buffer("starts", starts + 1, persistent=False)

    def forward(self, cards: torch.Tensor) -> torch.Tensor:
        """(n, cards) int64 -> (n, groups * width): each group's sum; `NO_CARD` adds nothing."""
        table = (self.card + self.rank + self.suit).flatten(0, 2)
        table = functional.pad(table, (0, 0, 1, 0))  # a row of zeros first, for no card
        seen = functional.embedding((cards + self.starts) * (cards != NO_CARD), table)
        return torch.cat([group.sum(dim=1) for group in seen.split(self.deck.groups, dim=1)], dim=1)


class PokerNetwork(nn.Module):
    """Brown, Lerer, Gross & Sandholm 2019, "Deep Counterfactual Regret Minimization", section 5.1 and appendix C.

    Cards go through three layers, betting through two, both together through three more; the last hidden layer is
    normalised. With the cards goes how strong they are, where the game has it: each strength as how far it fills each
    of `PARTS` parts of its scale, so that straight pieces make any curve of it.
    """

    def __init__(self, deck: Deck, features: int, actions: int, width: int) -> None:
        super().__init__()
        self.deck = deck
        self.embedding = CardEmbedding(deck, width)
        seen = len(deck.groups) * width + deck.strengths * PARTS
        self.cards = nn.ModuleList(nn.Linear(size, width) for size in (seen, width, width))
        self.betting = nn.ModuleList((nn.Linear(features, width), nn.Linear(width, width)))
        self.from_cards = nn.Linear(width, width)
        self.from_betting = nn.Linear(width, width, bias=False)
        self.trunk = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, actions)

    def forward(self, cards: torch.Tensor, betting: torch.Tensor) -> torch.Tensor:
        """Hands (n, `Deck.length`) int64, `NO_CARD` where none is dealt, and betting (n, features) -> (n, actions)."""
        return self.decide(self.see_cards(cards) + self.see_betting(betting))

    def see_cards(self, cards: torch.Tensor) -> torch.Tensor:
        """Hands (n, `Deck.length`) int64 -> (n, width): the cards' part of the first common layer."""
        cards, strengths = cards.split((sum(self.deck.groups), self.deck.strengths), dim=1)
        seen = self.embedding(cards)
        if self.deck.strengths:
            parts = (strengths[:, :, None] * (PARTS / 100) - torch.arange(PARTS, device=cards.device)).clamp(0, 1)
            seen = torch.cat((seen, parts.flatten(1)), dim=1)
        for layer in self.cards:
            seen = functional.relu(layer(seen))
        return self.from_cards(seen)

    def see_betting(self, betting: torch.Tensor) -> torch.Tensor:
        """(n, features) -> (n, width): the betting's part of the first common layer."""
        first, second = self.betting
        seen = functional.relu(first(betting))
        return self.from_betting(functional.relu(second(seen) + seen))

    def decide(self, seen: torch.Tensor) -> torch.Tensor:
        """Both parts' sum (n, width) -> (n, actions)."""
        seen = functional.relu(seen)
        for layer in self.trunk:
            seen = functional.relu(layer(seen) + seen)
        return self.head(functional.layer_norm(seen, seen.shape[1:]))


def new_network(game: DeepGame, width: int, seed: int) -> PokerNetwork:
    """One with random weights, on the CPU; the process's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PokerNetwork(game.deck, game.betting.shape[1], game.n_actions, width)


def as_one(network: PokerNetwork) -> nn.Parameter:
    """All weights as one tensor (n,) that shares their memory, and its gradient theirs.

    These networks are so small that an optimizer's work on thirty tensors takes as long as their gradients.
    """
    parameters = list(network.parameters())
    one = nn.Parameter(torch.cat([each.detach().flatten() for each in parameters]))
    one.grad = torch.zeros_like(one)
    sizes = [each.numel() for each in parameters]
    parts = zip(parameters, one.detach().split(sizes), one.grad.split(sizes), strict=True)
    for parameter, values, gradient in parts:
        parameter.data, parameter.grad = values.view_as(parameter), gradient.view_as(parameter)
    return one


def apart(network: PokerNetwork) -> None:
    """Undo `as_one`: weights have memory of their own again, and none of them learns any more."""
    for parameter in network.requires_grad_(False).parameters():
        parameter.data, parameter.grad = parameter.data.clone(), None


class NetworkStrategy:
    """A network that won't change any more, as a `Strategy`: betting is looked at once, and cards once a deal."""

    def __init__(self, game: DeepGame, network: PokerNetwork, average: bool, threshold: float = 0.0) -> None:
        """`average`: its numbers are logits of probabilities; else advantages, for regret matching.

        Actions that an average strategy takes less often than its `threshold` are left out, all but the most probable
        (Ganzfried, Sandholm & Waugh 2012, "Strategy Purification and Thresholding: Effective Non-Equilibrium
        Approaches for Playing Large Games"): where advantages are guessed, each iteration plays some bad actions.
        """
        self._game, self._network, self._average, self._threshold = game, network.eval(), average, threshold
        self._device = network.head.weight.device
        with torch.inference_mode():
            self._betting = network.see_betting(torch.from_numpy(game.betting).to(self._device))
        self._illegal = torch.from_numpy(~game.legal).to(self._device)

    def __call__(self, cards: np.ndarray) -> Choose:
        """See `Strategy`."""
        with torch.inference_mode():
            seen = self._network.see_cards(torch.from_numpy(cards.astype(np.int64)).to(self._device))

        def choose(hands: np.ndarray, nodes: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                rows, places = (torch.from_numpy(np.asarray(at, np.int64)).to(self._device) for at in (hands, nodes))
                found = self._network.decide(seen[rows] + self._betting[places])
                if self._average:
                    found = functional.softmax(found.masked_fill(self._illegal[places], -torch.inf), dim=1)
                    found = found.where(found >= found.amax(dim=1, keepdim=True).clamp(max=self._threshold), 0)
                    found = found / found.sum(dim=1, keepdim=True)
            numbers = found.float().cpu().numpy()
            return numbers if self._average else match_regrets(numbers, nodes, self._game.children)

        return choose
