"""Every service on one in-memory bus under a simulated clock: backtests, and what they rest on."""
