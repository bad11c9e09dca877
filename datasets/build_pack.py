"""Make a verification pack of pairs of faces. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("build-pack")
