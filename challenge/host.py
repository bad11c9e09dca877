"""Host a challenge: accounts, uploads, queue, scoring, leaderboards. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("host")
