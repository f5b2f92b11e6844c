"""Judging players: matches, estimates with intervals, and what they are saved as."""
