"""Doors: one protocol each. Parse a request, ask the service, write the answer; they never import each other."""
