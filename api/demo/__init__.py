"""The demo: a simulated community, and a small partner app that is a client of the real HTTP API."""
