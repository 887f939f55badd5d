"""Measuring models: tasks with known answers, published protocols, honest records."""
