"""Rows that belong to each other: relations of models, said as attributes of their classes."""
