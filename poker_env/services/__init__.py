"""Opponents on the network: services that deal their own hands, and our players offered to others' clients."""
