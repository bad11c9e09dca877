"""Image track: a folder with filelist.txt -> a feature file. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("gen-image-feature")
