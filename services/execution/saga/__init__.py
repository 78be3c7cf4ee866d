"""The state machine of an execution: its phases, its steps, its children and its record."""
