# All stages at once, on the spots and the labels.
_base_ = './skd-half_unet-r10-w25_1xb8-50e_camvid-160x224.py'
schedule = dict(_delete_=True, type='Simultaneous', phase_epochs=150, val_interval=50, fraction=0.1)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
