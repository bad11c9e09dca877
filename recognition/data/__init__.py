"""Training data: which images, in which order, as batches of bytes on the device."""
