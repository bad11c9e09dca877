"""IJB-B and IJB-C, 1:1 and 1:N, from their meta files and a feature file. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("ijb")
