"""Deployment: networks that run without this package."""
