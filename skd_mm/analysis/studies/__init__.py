"""Studies: several methods over several seeds at equal training compute, run and evaluated with one command."""

from .study import Method, Study, StudyError, Teacher, read_study

__all__ = ['Method', 'Study', 'StudyError', 'Teacher', 'read_study']
