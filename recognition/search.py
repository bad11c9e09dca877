"""Search for a network under a track's budget. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("search")
