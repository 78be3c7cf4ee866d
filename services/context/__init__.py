"""What contexts of the router need beyond the books: funding, basis, options skew, sentiment, on-chain."""
