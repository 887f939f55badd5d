"""Training: data, losses, the trainer, the miner, vocabularies, recipes."""
