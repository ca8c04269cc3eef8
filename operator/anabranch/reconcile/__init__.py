"""Level-triggered reconcilers, one module for each kind.

They observe, decide (in pure functions), and apply.
"""
