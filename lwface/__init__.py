"""Face recognition under a compute budget: train, pass the gate, write the submission, score it."""
