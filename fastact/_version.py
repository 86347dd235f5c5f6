"""The version: setuptools reads it here."""

__version__ = "0.1.0"
