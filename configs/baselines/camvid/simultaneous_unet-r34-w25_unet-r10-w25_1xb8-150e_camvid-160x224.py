# (CE + sum of the MSEs of all ten spots) / 11, whole student at once.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
schedule = dict(type='Simultaneous')
