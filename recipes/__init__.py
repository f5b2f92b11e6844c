"""What people run: solve, train, evaluate. Thin scripts over `poker_env` and `reward_fns`."""
