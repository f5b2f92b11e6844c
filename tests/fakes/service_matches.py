"""Matches of ours against fakes of services."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fake_gtowizard import KEY, FakeGTOWizard
from fake_slumbot import FakeSlumbot

from poker_env.games import DEFAULTS
from poker_env.player_specs import make_player
from poker_env.players.base import Player
from poker_env.services.gtowizard import GTOWizard
from poker_env.services.journal import Journal, Record
from poker_env.services.judgement import ServiceEvaluation, judge
from poker_env.services.match import Service, ServiceMatch
from poker_env.services.slumbot import Slumbot
from poker_env.services.web import Web

GAME = DEFAULTS["holdem"]
RANDOM = make_player("random", GAME)


def slumbot(fake: FakeSlumbot) -> Slumbot:
    return Slumbot(Web(fake.url, "SLUMBOT_URL", timeout=1))


def gtowizard(fake: FakeGTOWizard) -> GTOWizard:
    """Needs the environment's key."""
    return GTOWizard(Web(fake.server.url, "GTOWIZARD_URL", {"X-API-KEY": KEY}, timeout=1))


def play(
    path: Path,
    service: Service,
    hands: int,
    hero: Player = RANDOM,
    tables: int = 4,
    note_hand: Callable[[], None] = lambda: None,
) -> tuple[dict[int, Record], ServiceEvaluation | None]:
    """The journal's hands after a match, and what they say."""
    with closing(Journal(path, {"service": service.name})) as journal:
        ServiceMatch(GAME, hero, service, journal, tables, note_hand).play(hands)
        return journal.hands, judge(GAME, hero, service, journal.hands)
