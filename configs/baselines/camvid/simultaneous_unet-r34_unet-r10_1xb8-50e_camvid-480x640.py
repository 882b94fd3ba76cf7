# (CE + sum of the MSEs of all ten spots) / 11, whole student at once.
_base_ = '../../skd/camvid/skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
schedule = dict(type='Simultaneous')
