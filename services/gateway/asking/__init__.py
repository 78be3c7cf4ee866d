"""Commands to the services, and the events that answer them."""
