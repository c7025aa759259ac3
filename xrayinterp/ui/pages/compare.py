"""Compare: methods, findings, randomised networks and films beside each other."""

from __future__ import annotations

from xrayinterp.ui.shell import film_on_screen

opened = film_on_screen()
if opened is not None:
    from xrayinterp.ui.compare import comparing

    comparing(*opened)
