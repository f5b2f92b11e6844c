"""Causal language models of any kind and their adapters: loaded, and put a question. Knows no game."""
