"""What a model is: data, licences, settings, figures. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("card")
