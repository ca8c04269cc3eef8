"""Decide what to probe next and when to stop, without I/O, clock or randomness."""
