"""Unpack a record file into image files. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("rec-to-images")
