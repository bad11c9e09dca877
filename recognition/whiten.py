"""Make what one person's images differ in count less, in a trained network. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("whiten")
