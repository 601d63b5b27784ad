"""Programs that make one call of a library again and again, for the rows with the load `calls`."""
