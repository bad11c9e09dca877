"""Accuracy, validation rate and XNorm of an LFW-style pack. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("verification")
