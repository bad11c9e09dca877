"""Finetune a trained network on one's own people. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("finetune")
