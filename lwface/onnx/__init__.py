"""ONNX models: written, read, counted, checked and made smaller."""
