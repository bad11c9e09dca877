"""Search for a network under a track's budget."""
