"""Settings that several losses have in common: their types, limits and meanings.

A loss names them in its signature; one that only it has it declares there itself.
"""

from __future__ import annotations

from typing import Annotated

from lwface.base.setting import Setting

Scale = Annotated[float, Setting("scale of the cosines", above=0)]
MultiplicativeMargin = Annotated[float, Setting("multiplicative angular margin", above=0)]
AngularMargin = Annotated[float, Setting("additive angular margin in radians", minimum=0)]
CosineMargin = Annotated[float, Setting("additive cosine margin", minimum=0)]
Monotonic = Annotated[bool, Setting("let the margin's cosine fall on beyond pi, where the original's rises again")]
