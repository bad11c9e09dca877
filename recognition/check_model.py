"""Find out which input a model was trained with. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("check-model")
