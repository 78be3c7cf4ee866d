"""Where a run has its market from; each is a `backtest.source.Source`."""
