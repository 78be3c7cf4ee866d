"""Alerts to a webhook: what the views show that somebody must know of, told once, and once more when over."""
