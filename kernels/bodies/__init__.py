"""The sweeps, each written once for one network, for every cell and target."""
