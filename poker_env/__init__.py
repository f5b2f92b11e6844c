"""Heads-up poker for language models: games, prompts, hands, players, CFR and evaluation. Knows no trainer."""
