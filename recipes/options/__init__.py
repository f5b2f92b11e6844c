"""From what is typed to a checked `ExploitConfig`."""
