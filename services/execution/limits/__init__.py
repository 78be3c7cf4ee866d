"""Trading limits and halts: what refuses an order, what halts, and who resumes."""
