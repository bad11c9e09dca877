"""Draw the points of the face over a video. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("overlay")
