"""Check a submission to the facial keypoints challenge. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("check-keypoints")
