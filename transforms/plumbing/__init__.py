"""Mechanics of Beam and Arrow; nothing here knows what a session is."""
