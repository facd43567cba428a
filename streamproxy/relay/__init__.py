"""The data path: legs, the pump between them, and what brings a connection to its target."""
