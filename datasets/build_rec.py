"""Turn folders of people into train.rec and its companions. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("build-rec")
