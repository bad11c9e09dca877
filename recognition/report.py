"""A training run as one HTML page. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("report")
