"""A run's folder: what is in it, and who writes it while it goes on."""
