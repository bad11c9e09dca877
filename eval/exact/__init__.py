"""Exact scores of very many pairs: which are compared, what screens them, and the few that are scored in float64."""
