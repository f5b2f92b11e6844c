"""Deep CFR: counterfactual regret minimisation whose regrets and average strategy are neural networks."""
