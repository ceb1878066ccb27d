"""How fast a replica is, measured once for each version of it. Pure: no I/O, no clock."""
