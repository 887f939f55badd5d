"""Inference endpoints: what they are made of, when they run, how they cut texts into chunks."""
