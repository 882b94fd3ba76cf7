"""Tables as text."""

from skd_mm.utils import text_table


def test_columns_are_as_wide_as_their_cells_and_markup_is_text():
    rows = [['layer1', 1, None], ['[red]x', 22, 'ü×3' * 40]]
    head, rule, *lines = text_table(['phase', 'n', 'long'], rows).splitlines()
    assert head.split() == ['phase', 'n', 'long'] and set(rule) == {'─'}
    assert lines == ['layer1    1', f'[red]x   22   {"ü×3" * 40}']


def test_which_columns_are_aligned_to_the_left():
    assert text_table(['a', 'b'], [['xx', 'y'], ['x', 'yy']], left=2).splitlines()[2:] == ['xx   y', 'x    yy']
    assert text_table(['a', 'b'], [['xx', 'y'], ['x', 'yy']], left=0).splitlines()[2:] == ['xx    y', ' x   yy']
