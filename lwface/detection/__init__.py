"""Faces in photographs: detectors behind one call, one file each, and what becomes of their boxes."""
