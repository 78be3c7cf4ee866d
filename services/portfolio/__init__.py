"""Positions, risk and portfolio weights."""
