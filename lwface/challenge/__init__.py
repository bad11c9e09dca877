"""Hosting a challenge: one definition of its tracks, exact scorers in NumPy alone, bundles for others' servers."""
