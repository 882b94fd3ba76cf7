"""Classes of a scene."""

from enum import IntEnum


class Label(IntEnum):
    """CamVid's class ids; clutter is unlabelled."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGNSYMBOL = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    BICYCLIST = 10
    UNLABELLED = 11
