"""Make a challenge from a template. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("new-challenge")
