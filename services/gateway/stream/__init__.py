"""Topic messages as server-sent events."""
