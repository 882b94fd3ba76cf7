# (CE + sum of the MSEs of all five spots) / 6, whole student at once.
_base_ = '../../skd/imagewoof/skd_resnet34_resnet18_1xb64-100e_imagewoof.py'
schedule = dict(type='Simultaneous')
