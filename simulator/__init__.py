"""Exchanges that never sleep: the venues' own protocols over a seeded market or a recording."""
