"""Split a folder of people into those to train on and those to verify on. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("split-people")
