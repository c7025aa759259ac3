from __future__ import annotations

import io

import numpy as np
import pytest
from helpers.fake_explanation import fake_explanation
from PIL import Image

from xrayinterp.report import plates


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
        return image.size


def test_plates_have_the_film_s_shape_at_the_size_asked_for() -> None:
    explanation = fake_explanation()
    saliency = explanation.maps[0]
    for data in (
        plates.film_plate(explanation, longest=280),
        plates.overlay_plate(explanation, saliency, longest=280),
        plates.outline_plate(explanation, saliency, longest=280),
        plates.region_plate(explanation, "Effusion", longest=280),
    ):
        assert size(data) == (232, 280)
    assert size(plates.model_view_plate(explanation, longest=280)) == (280, 280)


@pytest.mark.parametrize("number", [0, 1])
def test_a_saved_map_carries_its_scale_beneath_the_film(number: int) -> None:
    explanation = fake_explanation()
    data = plates.map_picture(explanation, explanation.maps[number])
    assert data == plates.map_picture(explanation, explanation.maps[number])
    picture = np.asarray(Image.open(io.BytesIO(data)))
    assert picture.shape[1] == 848
    caption = picture[1024:]
    assert (caption.max(axis=-1) > 200).any()  # text
    spread = caption.max(axis=-1).astype(int) - caption.min(axis=-1)
    assert spread.max() > 90  # the colour bar


def test_the_model_view_shows_its_own_pixels() -> None:
    explanation = fake_explanation(model_view=np.array([[0.0, 1.0], [1.0, 0.0]], np.float32))
    picture = np.asarray(Image.open(io.BytesIO(plates.model_view_plate(explanation, longest=8))))
    assert np.unique(picture).tolist() == [0, 255]
    assert (picture[:4, 4:] == 255).all()
