"""Make the embedded data set of procedural faces. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-synthetic")
