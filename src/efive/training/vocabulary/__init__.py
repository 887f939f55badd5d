"""Vocabularies: train one, put it under a model, cut one down."""
