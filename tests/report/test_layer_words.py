from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.fake_explanation import fake_layer

from xrayinterp.report import layer_words
from xrayinterp.semantics_earlier import Measured

ZERO, NORMAL = fake_layer().measures


@pytest.mark.parametrize(
    ("layer", "name"), [("norm5", "Last layer"), ("denseblock3", "Block 3"), ("layer_2", "Layer 2")]
)
def test_layers_have_names(layer: str, name: str) -> None:
    assert layer_words.layer_name(layer) == name


def test_disagreement_names_the_concepts_and_the_rank_correlation() -> None:
    said = layer_words.agreement_line(ZERO)
    assert said == (
        "The two measures disagree on the sign for Cardiomegaly-like units. Over 3 single units their rank correlation "
        "is 0.500."
    )
    two = replace(ZERO, concepts=(*ZERO.concepts, replace(ZERO.concepts[0], ablation=-0.3)), rank_correlation=None)
    assert layer_words.agreement_line(two).endswith("sign for Cardiomegaly-like and Effusion-like units.")


def test_what_is_written_as_zero_is_no_disagreement() -> None:
    tiny = replace(ZERO, concepts=tuple(replace(c, gradient=0.001, ablation=-0.9) for c in ZERO.concepts))
    assert len(tiny.opposed) == 3
    assert layer_words.disputed(tiny) == []
    assert "agree on the sign for every concept" in layer_words.agreement_line(tiny)


def test_the_residual_is_told_with_its_share_unless_there_is_nothing() -> None:
    assert "+0.25 (38\u202f% of the larger), is not explained" in layer_words.residual_line(ZERO)
    nothing = replace(ZERO, total=Measured(0.0, 0.0))
    assert "%" not in layer_words.residual_line(nothing)


def test_the_baseline_says_what_units_are_held_at() -> None:
    assert "silencing" in layer_words.baseline_line(ZERO)
    assert "412 films without findings" in layer_words.baseline_line(NORMAL)
