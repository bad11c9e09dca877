"""Look inside a verification pack, unpack it. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("pack-info")
