"""Write a trained model as MXNet's files. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("convert-model")
