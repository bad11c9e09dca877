"""Make videos of the montage challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-montage")
