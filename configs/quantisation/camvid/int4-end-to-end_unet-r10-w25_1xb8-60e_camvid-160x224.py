# All stages at once, on the logits alone.
_base_ = './int4_unet-r10-w25_1xb8-20e_camvid-160x224.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4))
schedule = dict(
    _delete_=True, type='Simultaneous', phase_epochs=60, fraction=0.1, spots=['decode_head.conv_seg'], task=0)
