"""PromQL for the sandbox: the part that the signal catalogue and curious people need, exact where it answers."""
