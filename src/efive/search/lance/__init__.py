"""The embedded store: a folder, kept by LanceDB, no server."""
