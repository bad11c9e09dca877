"""Score a solution.txt. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("evaluate-landmarks")
