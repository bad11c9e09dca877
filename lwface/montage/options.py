"""What a montage is asked for by name; nothing heavy is imported here."""

from __future__ import annotations

RESIZE, SIMILARITY, POINTS = WARPS = ("none", "similarity", "points")
FRAMES, SECONDS, INDEX_SECONDS = 240, 60, 600  # the challenge: so many frames in so long, an index in so long
VIDEOS = "data/train/youtube_faces_with_keypoints_large.csv"  # as the challenge types it
