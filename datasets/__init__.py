"""Where data lives, and the tools that make and convert it."""
