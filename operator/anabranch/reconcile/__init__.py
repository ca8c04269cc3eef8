"""Level-triggered: observe, decide (pure), apply; a module a kind."""
