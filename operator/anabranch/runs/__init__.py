"""Runs of measurements: what each is started with, and how far the store says it is."""
