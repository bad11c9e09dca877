"""Train the quality head that weighs the frames of a video. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("train-quality")
