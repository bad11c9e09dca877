"""Exact 1:1 scores from feature files: TAR at the FARs asked for. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("tar-far")
