"""Evaluations as one HTML page, with plots and faces."""
