"""What a montage is asked for by name; nothing heavy is imported here."""

from __future__ import annotations

RESIZE, SIMILARITY, POINTS = WARPS = ("none", "similarity", "points")
FRAMES, SECONDS, INDEX_SECONDS = 240, 60, 600  # the challenge: so many frames in so long, an index in so long
# The csv where none is named: the challenge's page puts it into data/train, its program looks for it in data.
VIDEOS = tuple(f"data/{part}youtube_faces_with_keypoints_large.csv" for part in ("train/", ""))
