"""The gate: what a network costs by the official count, and what the tracks allow."""
