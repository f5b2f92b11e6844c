"""Card abstraction: which hands of hold'em play alike, and share a bucket."""
