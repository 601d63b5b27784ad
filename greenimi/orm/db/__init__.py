"""Models of tables, on peewee."""
