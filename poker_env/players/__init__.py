"""Players: a batched `act` each. Bots, solved strategies, mixtures of them, language models."""
