"""Kubernetes on one machine, for tests: built from its Go modules, no container."""
