"""From a trained model to the file that other programs run, checked."""
