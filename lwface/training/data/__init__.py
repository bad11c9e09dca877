"""Which images make each step, decoded ahead of it."""
