"""Train for the facial keypoints challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("train-keypoints")
