"""What a user may choose between when features are made, by name; nothing heavy is imported here."""

from __future__ import annotations

# What runs the network: lwface/features/runners.py says what each is.
EAGER, COMPILED, ONNXRUNTIME, OPENVINO = "eager", "compiled", "onnxruntime", "openvino"
AUTO = "auto"
BACKENDS = (AUTO, EAGER, COMPILED, ONNXRUNTIME, OPENVINO)

PRECISIONS = ("float32", "bf16")

# How frames become a row: lwface/features/aggregation.py defines each.
AGGREGATIONS = ("mean", "norm", "quality", "cluster")
CLUSTER_THRESHOLD = 0.3  # cosine; docs/video.md says how it was measured
