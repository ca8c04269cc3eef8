"""What the Jobs of a cluster do: short work on objects of the store."""
