"""The whole road on procedural faces: what make demo runs. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("demo")
