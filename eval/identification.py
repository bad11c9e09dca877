"""Open-set 1:N identification from feature files. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("identification")
