"""A montage of other people's frames that follows a face: index, choice, costs and what is written of it."""
