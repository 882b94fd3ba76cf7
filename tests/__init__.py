"""Tests: the folders mirror ``skd_mm``; ``helpers`` has the toy networks, data and runs that they share."""
