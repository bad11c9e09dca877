"""Video track: folders of frames listed in filelist.txt -> a feature file. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("gen-video-feature")
