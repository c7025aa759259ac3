"""Bytes become a radiograph."""
