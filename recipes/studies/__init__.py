"""What is measured beside training: gradients, estimators, solvers, rewards."""
