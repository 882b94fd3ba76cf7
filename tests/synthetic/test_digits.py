import numpy as np
import pytest

from skd_mm.synthetic import digits
from skd_mm.synthetic.digits import draw_digit, draw_number, font_glyphs


def bars():
    """Glyphs that depend on no font: a vertical bar for each digit, wider with the digit."""
    glyphs = np.zeros((10, 1, 64, 64), np.uint8)
    for digit in range(10):
        glyphs[digit, 0, 12:52, 8:12 + 4 * digit] = 255
    return glyphs


# Mean and standard deviation of the numbers 0, 11, 22, ... drawn from bars.
REFERENCE = [(41.61, 33.62), (26.19, 48.99), (26.71, 53.69), (56.21, 44.17), (89.12, 74.58), (54.05, 53.36)]


def test_numbers_are_those_of_earlier_versions():
    images = [draw_number(f'{11 * k:02}', bars(), np.random.RandomState(k)) for k in range(6)]
    assert all(image.shape == (32, 32) and image.dtype == np.uint8 for image in images)
    found = [(image.mean(), image.std()) for image in images]
    np.testing.assert_allclose(found, REFERENCE, atol=0.1)


def test_fonts_have_every_digit():
    glyphs = font_glyphs()
    assert len(glyphs) == 10
    for variants in glyphs:
        assert all(glyph.shape == (64, 64) and glyph.dtype == np.uint8 for glyph in variants)
        assert len({glyph.tobytes() for glyph in variants}) > 1


def test_digits_are_drawn_from_left_to_right(monkeypatch):
    drawn = []

    def record(glyphs, rng):
        drawn.append(glyphs)
        return np.zeros((64, 64), np.uint8)

    monkeypatch.setattr(digits, 'draw_digit', record)
    draw_number('085', list(range(10, 20)), np.random.RandomState(0))
    assert drawn == [10, 18, 15]


def test_digits_of_a_number_are_drawn_independently():
    rng, glyphs = np.random.RandomState(0), font_glyphs()
    halves = [half for _ in range(30) for half in np.hsplit(draw_number('55', glyphs, rng), 2)]
    assert len({half.tobytes() for half in halves}) == 60


def test_every_glyph_is_used():
    glyphs = [np.full((64, 64), value, np.uint8) for value in (80, 160, 240)]
    rng = np.random.RandomState(0)
    assert {draw_digit(glyphs, rng).max() for _ in range(30)} == {80, 160, 240}


def test_geometry_of_a_digit_varies():
    rng, glyph = np.random.RandomState(0), font_glyphs()[1][0]
    masks = [draw_digit([glyph], rng) > 128 for _ in range(40)]
    centres = np.array([np.argwhere(mask).mean(0) for mask in masks])
    assert (centres.std(0) > 1.5).all()  # shifted
    heights = [np.ptp(np.argwhere(mask)[:, 0]) for mask in masks]
    assert max(heights) > 1.15 * min(heights)  # scaled
    slopes = [np.polyfit(*np.argwhere(mask).T, 1)[0] for mask in masks]
    assert max(slopes) > 0.1 and min(slopes) < -0.1  # rotated or sheared, in both directions


@pytest.mark.parametrize(('percent', 'spread'), [(20, 40), (99, 60)], ids=['paper', 'ink'])
def test_brightness_and_contrast_vary(percent, spread):
    rng, glyphs = np.random.RandomState(0), font_glyphs()
    values = [np.percentile(draw_number('1', glyphs, rng), percent) for _ in range(40)]
    assert np.ptp(values) > spread


def test_smaller_glyphs_fill_the_cell():
    glyph = np.zeros((28, 28), np.uint8)
    glyph[8:20, 4:24] = 255
    height = np.ptp(np.argwhere(draw_digit([glyph], np.random.RandomState(0)) > 99)[:, 0])
    assert 18 < height < 34  # 12 of 28 pixels, scaled to a cell of 64
