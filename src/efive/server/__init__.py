"""The server: one process that speaks the protocols of the clients that people already have."""
