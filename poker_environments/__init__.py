"""Hands of poker as episodes for other trainers: verifiers, OpenEnv, TRL's `environment_factory`."""
