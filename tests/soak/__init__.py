"""A cluster at work while faults strike it, for as long as wanted."""
