"""MXNet's checkpoints: read, run and written, without MXNet."""
