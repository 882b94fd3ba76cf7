# Stage by stage, and then the whole student on the labels and all spots with 1/11 each.
_base_ = './skd-quarter_unet-r10-w25_1xb8-50e_camvid-160x224.py'
schedule = dict(phase_epochs=30, polish=dict(epochs=50))
optim_wrapper = dict(optimizer=dict(lr=1e-2))
