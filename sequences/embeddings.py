"""Write embeddings of sequences to look at: for TensorBoard's projector and as a page. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("embeddings")
