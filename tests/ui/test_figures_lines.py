from __future__ import annotations

import json

import numpy as np

from xrayinterp.ui.figures_lines import STYLES, Axis, Curve, columns_figure, curves_figure, matrix_figure


def test_curves_differ_in_more_than_colour_and_gaps_stay_gaps():
    curves = [Curve(f"c{n}", [(0.0, 1.0), (1.0, None), (2.0, 0.5)]) for n in range(len(STYLES))]
    spec = json.loads(curves_figure(curves, Axis("x"), Axis("y", percent=True), mark=1.0).to_json())
    looks = [(trace["line"]["dash"], trace["marker"]["symbol"]) for trace in spec["data"]]
    assert len(set(looks)) == len(STYLES)
    assert all(trace["y"][1] is None for trace in spec["data"])
    assert spec["layout"]["yaxis"]["tickformat"] == ".0%"
    assert spec["layout"]["shapes"][0]["x0"] == 1.0


def test_a_curves_name_cannot_smuggle_markup():
    spec = json.loads(curves_figure([Curve("<b>x</b>", [(0, 1)])], Axis("<i>"), Axis("y")).to_json())
    assert "<b>" not in spec["data"][0]["name"] + spec["data"][0]["hovertemplate"].replace("<br>", "")
    assert spec["layout"]["xaxis"]["title"]["text"] == "&lt;i&gt;"


def test_columns_run_from_input_to_output():
    spec = json.loads(columns_figure(["a", "b", "c"], [0.1, 0.2, 0.3], Axis("kept", percent=True)).to_json())
    assert [note["text"] for note in spec["layout"]["annotations"]] == ["input", "output"]
    assert spec["data"][0]["customdata"] == ["a", "b", "c"]
    assert columns_figure([], [], Axis("kept")).layout.height > 0


def test_every_cell_of_a_matrix_is_written():
    values = np.array([[1.0, 0.25], [0.25, 1.0]])
    spec = json.loads(matrix_figure(["one", "two"], values.tolist()).to_json())
    written = {(a["y"], a["x"]): a["text"] for a in spec["layout"]["annotations"]}
    assert written[("one", "two")] == written[("two", "one")] == "0.25"
    assert written[("one", "one")] == "1.00"
