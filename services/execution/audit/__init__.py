"""What the audit log holds of an execution's decisions, and how it is verified."""
