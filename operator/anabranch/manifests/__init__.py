"""Builds the objects that the operator creates; pure."""
