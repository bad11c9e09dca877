"""Procedural faces: people with a head of their own, rendered in any pose, light and state of dress, with everything known."""
