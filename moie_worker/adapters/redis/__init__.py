"""Redis: the only package that imports the client library."""
