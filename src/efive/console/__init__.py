"""The console: the server's models, deployments, collections and runs in a browser. A client of the service."""
