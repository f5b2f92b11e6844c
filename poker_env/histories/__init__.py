"""Finished hands in words, and in the formats of other tools."""
