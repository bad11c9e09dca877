"""Pack what is handed in for the landmark challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("package-landmarks")
