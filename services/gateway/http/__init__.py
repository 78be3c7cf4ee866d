"""HTTP: the protocol, the guards before a route, the routes and their documents."""
