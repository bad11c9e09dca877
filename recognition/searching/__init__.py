"""Search for a network under a track's budget: which networks there are, how one is tried, and what was found."""
