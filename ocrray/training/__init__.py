"""Training: config, samples, the loop, checkpoints, export."""
