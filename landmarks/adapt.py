"""Fit a model to the convention of another data set. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("adapt-landmarks")
