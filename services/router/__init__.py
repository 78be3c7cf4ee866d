"""The policy router: contextual Thompson sampling over trading policies."""
