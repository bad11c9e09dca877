"""The gate: what a network costs, and whether a track admits it. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("gate")
