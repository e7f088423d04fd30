"""Which weights are pruned, and when."""
