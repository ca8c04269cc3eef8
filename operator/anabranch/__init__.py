"""Anabranch maps the multipath topology of the Internet."""
