"""``python -m lwface COMMAND``: the same as ``lwface COMMAND``."""

from lwface.commands import main

if __name__ == "__main__":
    main()
