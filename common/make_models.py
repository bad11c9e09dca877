"""The models that come inside the package, made again from nothing. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-models")
