"""A causal language model forwarded, sampled and scored: many texts as one tree, adapters without their overhead."""
