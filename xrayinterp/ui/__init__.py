"""The page: figures, services, state and panels; the only room that knows Streamlit."""
