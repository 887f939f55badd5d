"""What computes: token ids in, pooled vectors out. Knows nothing of texts, prefixes or HTTP."""
