"""Names with a meaning of their own in configs."""

ALL = 'all'
"""The whole student, in the ``train`` of a phase."""
