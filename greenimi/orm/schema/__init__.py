"""The tables of a database and their changes: migrations, and models that are written from a schema."""
