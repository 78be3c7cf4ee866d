"""Hosts users' policies apart from the services that decide, and registers those from outside."""
