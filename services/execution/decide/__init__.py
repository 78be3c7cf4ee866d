"""What is decided of an execution: signal, size, venues, plan, and what it cost and earned."""
