"""Points on faces: the same loop as for recognition, with another task."""
