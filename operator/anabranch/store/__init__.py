"""The object store of plans, replies and results. Objects never change."""
