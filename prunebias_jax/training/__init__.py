"""Training of one model, and of populations of them."""
