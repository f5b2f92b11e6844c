"""Hold'em's cards: the value of hands, boards up to suits, showdowns and equities, compiled."""
