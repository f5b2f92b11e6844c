"""Hands become rows, and rows gradients: the bridge to TRL's trainer."""
