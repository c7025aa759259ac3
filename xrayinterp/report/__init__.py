"""An explanation as JSON, pictures and PDF."""
