"""Make procedural people in the faceless challenge's format. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-people")
