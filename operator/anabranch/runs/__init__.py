"""Runs of measurements: what each starts with, and its progress in the store."""
