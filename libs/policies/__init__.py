"""Users' policies: loading one, running it apart in a sandbox, and checking that it keeps its contract."""
