"""Check a feature file before submitting it. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("feature-file")
