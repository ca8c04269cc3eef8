"""Watches, queue and life of the operator."""
