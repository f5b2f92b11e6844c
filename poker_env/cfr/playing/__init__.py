"""A solved strategy at the real table: whatever was bet, for one holding or for all of them."""
