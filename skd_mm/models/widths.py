"""The one rule by which the networks of this package are made thinner."""


def scale_channels(channels: int, width: float) -> int:
    """Scales a number of channels by a width factor, refusing what is not a whole number.

    Args:
        channels: Channels of the network at width 1.
        width: The factor, for example 0.25.

    Returns:
        ``channels * width``.

    Raises:
        ValueError: If the product is not a positive integer.
    """
    scaled = channels * width
    if scaled < 1 or scaled != int(scaled):
        raise ValueError(f'width={width} makes {scaled:g} channels of {channels}: every width of the network must stay '
                         'a whole number; use for example 0.25, 0.5 or 1')
    return int(scaled)
