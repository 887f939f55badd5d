"""From strings to token ids, windows and batches. Knows nothing of weights or engines."""
