"""Check that no video is on both sides of a split of the faceless challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("check-split")
