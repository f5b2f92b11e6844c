"""Causal language models of any kind: loaded, put a question, sampled and scored. Knows no game."""
