"""What may happen to a proposed fix, and what stops a loop from running away: states, guards, budgets (pure).

The controller asks, storage keeps; nothing here reads a clock, a database or a cluster.
"""
