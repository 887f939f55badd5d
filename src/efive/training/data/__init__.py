"""Training sets on disk: their forms, read in a stream and checked."""
