"""Which venue to trade on: a registry of measured venues, and the choice among them."""
