"""Access to the API server, for the operator, its jobs and agents."""
