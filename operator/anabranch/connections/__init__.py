"""Traces of the clients whose TCP connections end: what comes, waits, and is kept."""
