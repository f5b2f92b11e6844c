"""How fast hands are played and learned from: ours, a plain loop, the least there is to do, and other commits."""
