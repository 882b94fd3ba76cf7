# SKD as in the authors' code, where our defaults differ: the teacher and the frozen stages keep their BN in
# train mode, the optimizer holds all parameters, labels are resized bilinearly, a best loss starts at 100, and the
# validation split is the one reported. (A validation loss that is a mean of batch means is the mean over samples here:
# batches of validation have one image.)
_base_ = './skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
model = dict(teacher=dict(mode='train'))
schedule = dict(frozen_bn='train', optimizer_params='all')
default_hooks = dict(checkpoint=dict(best_start=100))
bilinear = dict(_base_.resize, type='skd_mm.ResizeMask', seg_interpolation='bilinear')
train_pipeline = [bilinear if step['type'] == 'Resize' else step for step in _base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = _base_.val_dataloader
