"""Propose what is mislabelled, there twice, or one person in two folders. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("clean")
