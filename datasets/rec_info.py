"""Look inside a record file, and check it. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("rec-info")
