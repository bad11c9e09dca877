"""Train a network for the faceless challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("train-sequences")
