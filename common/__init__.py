"""What every track shares: file formats, budgets, the FLOPs count, alignment and the embedding engine."""
