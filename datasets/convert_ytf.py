"""Convert the YouTube Faces teaching set. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("convert-ytf")
