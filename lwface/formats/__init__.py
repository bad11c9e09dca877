"""File formats, one module each: layout, reader, writer, validator."""
