"""Events, topics, books and shells shared by all services."""
