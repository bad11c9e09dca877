"""Make a Codabench bundle of a challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-bundle")
