"""From a policy to paper fills: sizing, planning, orders, records and audit."""
