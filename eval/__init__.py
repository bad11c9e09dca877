"""Local scoring from files and arrays; nothing here imports a network."""
