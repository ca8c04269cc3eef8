"""The object store: what was planned, heard and found, each once and for good."""
