"""Width factors of networks."""


def scale_channels(channels: int, width: float) -> int:
    """Scale a number of channels by a width factor.

    Args:
        channels: Channels of the network at width 1.
        width: The factor, for example 0.25.

    Returns:
        ``channels * width``.

    Raises:
        ValueError: The product is not a positive integer.
    """
    scaled = channels * width
    if scaled < 1 or scaled != int(scaled):
        raise ValueError(f'width={width} turns {channels} channels into {scaled:g}, which is not a positive integer; '
                         'use for example 0.25, 0.5 or 1')
    return int(scaled)
