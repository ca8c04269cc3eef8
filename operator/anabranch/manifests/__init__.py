"""The objects that the operator makes, from what they are for; pure."""
