"""What all rooms stand on: errors, files, progress, registries, how a command ends."""
