"""Pairing the stages of two backbones."""

from collections.abc import Sequence

from .backbones import Outputs


def match_stages(student: Outputs, teacher: Outputs) -> tuple[list[tuple[str, str]], list[str]]:
    """Pair the student's stages with the teacher's.

    If both have the same number of stages, they are paired in order. Otherwise the last stages of equal resolutions are
    paired.

    Args:
        student: The result of :func:`backbone_stages` for the student.
        teacher: The same for the teacher, run on an input of the same size.

    Returns:
        Pairs of names, and the names on either side that have no counterpart.
    """
    if len(student) == len(teacher):
        return [(one, other) for (one, _), (other, _) in zip(student, teacher, strict=True)], []
    last_s, last_t = _by_resolution(student), _by_resolution(teacher)
    pairs = [(name, last_t[size]) for size, name in last_s.items() if size in last_t]
    paired = {name for pair in pairs for name in pair}
    return pairs, [name for name, _ in [*student, *teacher] if name not in paired]


def _by_resolution(stages: Outputs) -> dict[Sequence[int], str]:
    return {tuple(output.shape[2:]): name for name, output in stages}
