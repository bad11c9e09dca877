"""Trained models by the names of the command line: stored, found, opened, started from."""
