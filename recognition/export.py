"""Write a trained model as an ONNX model. What it takes: --help."""

from lwface.commands import run

if __name__ == "__main__":
    run("export")
