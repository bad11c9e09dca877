"""Procedural faces: people with a head of their own, rendered in any pose, light and dress, with everything known."""
