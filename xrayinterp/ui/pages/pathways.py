"""Pathways: the few neurons behind one logit."""

from __future__ import annotations

from xrayinterp.ui.shell import film_on_screen

opened = film_on_screen()
if opened is not None:
    from xrayinterp.ui.pathways import pathways

    pathways(*opened)
