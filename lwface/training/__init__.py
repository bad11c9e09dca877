"""The spine: the loop, and what it takes to stop and continue."""
