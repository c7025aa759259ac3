"""Anomaly: where a film is unlike films without findings, and how that was measured."""

from __future__ import annotations

from xrayinterp.ui.shell import film_on_screen

opened = film_on_screen()
if opened is not None:
    from xrayinterp.ui.anomaly import anomaly

    anomaly(*opened)
