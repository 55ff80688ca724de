"""The service: HTTP, pages, worker and command line. The only package that knows the web."""
