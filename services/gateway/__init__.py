"""HTTP from materialised state: views in, JSON out, commands on."""
