"""Train the face detector on scenes of rendered people. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("train-detector")
