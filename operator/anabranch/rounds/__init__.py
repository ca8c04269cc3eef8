"""The brain: what to probe next and when to stop. No I/O, no clock, no randomness."""
