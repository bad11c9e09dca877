"""Write signatures of frames with any network, as the faceless challenge publishes them. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("signatures")
