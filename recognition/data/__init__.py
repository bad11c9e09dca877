"""From a RecordIO file to batches of uint8 images, in an order that a seed fixes and a checkpoint can resume."""
