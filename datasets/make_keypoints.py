"""Make a data set in the format of the facial keypoints challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("make-keypoints")
