"""Exact scores of very many pairs."""
