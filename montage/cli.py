"""A montage of other people's frames that follows a face. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("montage")
