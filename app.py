"""The page: `streamlit run app.py`."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

st.set_page_config(page_title="xrayinterp", page_icon=str(_HERE / "static" / "favicon.png"), layout="wide")
st.logo(str(_HERE / "static" / "logo.svg"), size="large")
st.navigation(
    [
        st.Page("xrayinterp/ui/pages/read.py", title="Read", default=True),
        st.Page("xrayinterp/ui/pages/compare.py", title="Compare"),
        st.Page("xrayinterp/ui/pages/concepts.py", title="Concepts"),
        st.Page("xrayinterp/ui/pages/pathways.py", title="Pathways"),
        st.Page("xrayinterp/ui/pages/anomaly.py", title="Anomaly"),
        st.Page("xrayinterp/ui/pages/models.py", title="Models"),
    ],
    position="top",
).run()
