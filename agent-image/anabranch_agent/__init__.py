"""The agent: a process on a node that probes the Rounds addressed to it."""
