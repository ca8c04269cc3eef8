"""From what happens in a cluster to what is to be looked at, and back."""
