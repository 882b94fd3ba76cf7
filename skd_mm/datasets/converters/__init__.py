"""Conversion of published data sets into the layouts that the data set classes read."""
