"""What the figures of a model's card are made of."""
