"""The API server, as the operator, its jobs and agents talk to it."""
