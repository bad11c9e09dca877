"""Score a submission to the faceless challenge, or signatures. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("evaluate-sequences")
