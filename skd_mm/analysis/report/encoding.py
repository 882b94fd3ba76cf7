"""Images as data URIs, which an HTML page carries in itself."""

import base64

import cv2
import numpy as np


def jpeg_uri(image: np.ndarray, quality: int = 85) -> str:
    """Return a photograph as a data URI.

    Args:
        image: ``[H, W, 3]`` uint8 in BGR.
        quality: Quality of the JPEG file, up to 100. Defaults to 85.

    Returns:
        The URI.
    """
    return _uri('jpeg', cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def png_uri(image: np.ndarray) -> str:
    """Return a drawing as a data URI, without loss.

    Args:
        image: ``[H, W, 4]`` uint8 in BGRA, or ``[H, W, 3]`` in BGR.

    Returns:
        The URI.
    """
    return _uri('png', cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def svg_uri(svg: bytes) -> str:
    """Return an SVG file as a data URI."""
    return _uri('svg+xml', svg)


def fit(image: np.ndarray, side: int, nearest: bool = False) -> np.ndarray:
    """Return an image whose longer side is at most ``side`` pixels.

    Args:
        image: ``[H, W]`` or ``[H, W, C]``.
        side: Length in pixels.
        nearest: Keep the values of pixels, as for labels. Defaults to False.

    Returns:
        The image, smaller or as it was.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if nearest else cv2.INTER_AREA)


def _uri(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
