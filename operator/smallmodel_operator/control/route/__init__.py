"""ModelRoutes: the same flow as of models, with less to decide: names, keys, an address, and how targets stand."""
