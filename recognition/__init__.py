"""Training of face-recognition networks: networks, losses, data and the training loop."""
