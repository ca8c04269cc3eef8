"""What the local runner does in place of the cluster."""
