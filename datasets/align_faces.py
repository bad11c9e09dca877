"""Align the faces of a folder to 112x112 crops by landmarks. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("align-faces")
