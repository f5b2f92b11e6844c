"""Counterfactual regret minimisation: card abstraction, betting tree, solver, checkpoint."""
