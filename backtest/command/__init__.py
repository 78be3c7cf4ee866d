"""`bookrunner backtest`: from what a person asks for to a folder with its answer."""
