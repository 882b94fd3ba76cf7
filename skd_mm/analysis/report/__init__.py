"""A self-contained HTML page about runs and studies, from their work directories."""

from .page import Settings, write_report

__all__ = ['Settings', 'write_report']
