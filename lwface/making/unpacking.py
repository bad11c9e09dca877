"""An image of a record file as an image file, with a name made of numbers."""

from __future__ import annotations

from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.image_files import PNG_START


def unpack_image(records: FaceRecords, index: int) -> tuple[str, bytes]:
    """``(LABEL/KEY.ending, encoded image)`` of the image at ``index``; :class:`RecordError` when it is damaged."""
    key = int(records.keys[index])
    label, data = records.read(index)
    if decode_rgb(data) is None:
        reason = image_damage(data) or "its image cannot be decoded"
        raise records.reader.error(key, reason)
    return f"{label:06d}/{key:08d}{'.png' if data.startswith(PNG_START) else '.jpg'}", data
