"""Concepts: which units of a model answer to which concept, how surely, and what they are used for."""

from __future__ import annotations

from xrayinterp.ui.concepts import concepts
from xrayinterp.ui.shell import model_on_screen

concepts(model_on_screen())
