"""Read: one film, what the model says of it, and what that is made of."""

from __future__ import annotations

from xrayinterp.ui.shell import film_on_screen

opened = film_on_screen()
if opened is not None:
    from xrayinterp.ui.reading import reading

    reading(*opened)
