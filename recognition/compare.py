"""Are two faces one person: their cosine, and what it means. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("compare")
