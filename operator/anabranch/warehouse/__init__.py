"""SQL over reply parts, and the engine that runs it."""
