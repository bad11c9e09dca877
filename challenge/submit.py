"""Hand a submission in to a hosted challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("submit")
