"""What trading has earned and cost, in numbers that a backtest and a running system tell alike; pure."""
