"""Hard negatives and the consistency filter: what a model finds among the passages of training sets."""
