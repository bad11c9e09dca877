"""A window that shows pictures, by Tk, which comes with most Pythons: the OpenCV without a screen has no windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

if TYPE_CHECKING:
    import tkinter

STOP_KEYS, FULL_KEY = ("q", "Escape"), "f"  # the published program's q and f


class Window:
    """Shows one picture at a time; ``closed`` when it was closed, or q or Escape pressed. f: the whole screen.

    Raises:
        UserError: there is no display, or no Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise UserError("this Python has no tkinter") from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UserError(str(error)) from None
        self.closed = False
        self._root.title(title)
        self._picture: tkinter.PhotoImage = tkinter.PhotoImage(master=self._root)
        self._label = tkinter.Label(self._root, image=self._picture, background="black")
        self._label.pack(expand=True, fill="both")
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in STOP_KEYS:
            self._root.bind(f"<{key}>" if len(key) > 1 else key, self._doing(self._close))
        self._root.bind(FULL_KEY, self._doing(self._turn_full))

    def show(self, image: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3) RGB, and look for keys."""
        if self.closed:
            return
        height, width = image.shape[:2]
        self._picture.configure(data=b"P6 %d %d 255\n" % (width, height) + image.tobytes(), format="PPM")
        self._root.update()

    def destroy(self) -> None:
        """Take it off the screen."""
        self._root.destroy()

    def _close(self) -> None:
        self.closed = True

    def _turn_full(self) -> None:
        self._root.attributes("-fullscreen", not self._root.attributes("-fullscreen"))

    @staticmethod
    def _doing(action: Callable[[], None]) -> Callable[[object], None]:
        """What Tk calls with an event."""
        return lambda _: action()
