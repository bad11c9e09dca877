"""The renderer of procedural faces: docs/synthetic.md."""
