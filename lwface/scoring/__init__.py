"""Exact scores of 1:1 and 1:N protocols, from arrays and files."""
