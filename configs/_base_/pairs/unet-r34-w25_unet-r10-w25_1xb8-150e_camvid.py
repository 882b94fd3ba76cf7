# The U-Nets of a quarter of the width on CamVid at 160x224, for machines without a GPU, trained at once.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
schedule = dict(_delete_=True, type='Simultaneous', average=False, phase_epochs=150, val_interval=10)
