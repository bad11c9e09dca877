"""Train a network that puts 68 points on a face. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("train-landmarks")
