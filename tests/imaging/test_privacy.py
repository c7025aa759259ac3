"""Nothing in a header that identifies a person leaves the imaging room, by film, warning or error."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from helpers.dx_factory import dx, ramp, table, to_bytes
from pydicom.dataset import Dataset

from xrayinterp.errors import XrayInterpError
from xrayinterp.imaging import reader
from xrayinterp.imaging.decode import decode

MARK = "ZYXNAME"
TEXT_ATTRIBUTES = """
    PatientID IssuerOfPatientID OtherPatientIDs PatientComments PatientAddress PatientTelephoneNumbers
    InstitutionName InstitutionAddress StudyDescription SeriesDescription AccessionNumber StudyID StationName
    ProtocolName ImageComments DeviceSerialNumber InstitutionalDepartmentName WindowCenterWidthExplanation
    RequestedProcedureDescription DerivationDescription BodyPartExamined ManufacturerModelName Manufacturer
"""
NAME_ATTRIBUTES = "PatientName ReferringPhysicianName OperatorsName PerformingPhysicianName OtherPatientNames"


def laden(**attributes: Any) -> Dataset:
    """A film with a name in every place that may hold one, nested and private ones included."""
    dataset = dx(ramp(128, 160))
    for keyword in TEXT_ATTRIBUTES.split():
        setattr(dataset, keyword, MARK)
    for keyword in NAME_ATTRIBUTES.split():
        setattr(dataset, keyword, f"{MARK}^Jane")
    nested = Dataset()
    nested.PatientName, nested.RequestedProcedureDescription = f"{MARK}^Jane", MARK
    dataset.RequestAttributesSequence = [nested]
    dataset.private_block(0x0009, MARK, create=True).add_new(1, "LO", MARK)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def leaks(thing: object) -> bool:
    return MARK in repr(thing) or MARK.encode() in pickle.dumps(thing)


def test_a_film_carries_no_name():
    data = to_bytes(laden())
    assert MARK.encode() in data
    for film in (decode(data), reader.read(data)):
        assert not leaks(film)
        assert not leaks(asdict(film.source))
        assert film.warnings


@pytest.mark.parametrize(
    "lie",
    [
        {"Rows": 0},
        {"Rows": 60_000},
        {"PixelData": b"\0" * 10},
        {"PhotometricInterpretation": MARK},
        {"Modality": MARK},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
        {"SOPClassUID": "1.2.3"},
        {"ViewPosition": "LL"},
        {"RescaleSlope": 0},
        {"NumberOfFrames": 3},
        {"PixelData": bytes(2 * 128 * 160)},
    ],
)
def test_no_refusal_carries_a_name(lie: dict[str, Any]):
    with pytest.raises(XrayInterpError) as caught:
        reader.read(to_bytes(laden(**lie)))
    assert not leaks(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "odd",
    [
        {"ViewPosition": MARK},
        {"PatientOrientation": [MARK, MARK]},
        {"ImageLaterality": MARK},
        {"Laterality": MARK},
        {"PresentationLUTShape": MARK},
        {"PresentationIntentType": MARK},
        {"VOILUTFunction": MARK},
        {"PixelSpacingCalibrationType": MARK},
        {"WindowCenterWidthExplanation": f"NORMAL {MARK}"},
    ],
)
def test_a_name_in_the_wrong_field_does_not_pass_either(odd: dict[str, Any]):
    film = decode(to_bytes(laden(**odd)))
    assert not leaks(film)
    assert np.ptp(film.display) == 255


def test_a_name_in_a_tables_explanation_does_not_pass():
    item = table(0, range(4096), 12)
    item.LUTExplanation = MARK
    film = decode(to_bytes(laden(VOILUTSequence=[item])))
    assert not leaks(film)
    assert film.source.windows == ("LUT 1", "window 1")


@pytest.mark.parametrize("told", ["NORMAL 19450312", "CHEST 12.03.45", "normal 山田", "soft Å", "low " * 20])
def test_a_window_that_says_more_than_how_it_looks_goes_by_its_number(told: str):
    dataset = laden(SpecificCharacterSet="ISO_IR 192", WindowCenterWidthExplanation=told)
    assert decode(to_bytes(dataset)).source.windows == ("window 1",)


def test_display_words_do_pass():
    assert decode(to_bytes(laden(WindowCenterWidthExplanation="Algo1 soft"))).source.windows == ("Algo1 soft",)
