"""Render the bank of heads that the face detector is trained on. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-heads")
