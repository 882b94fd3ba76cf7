# The distilled U-Net-R10 with few bits, on 10 % of the images without labels. "Rounded" is calibrated and not trained.
_base_ = './_base_/camvid_compression.py'
configs = 'configs/quantisation/camvid/'
rounded = {'optim_wrapper.optimizer.lr': 0.}
pruned = dict(
    name='half',
    cfg='configs/pruning/camvid/skd-polish-half' + _base_.unet.format(30),
    options={'schedule.cache': 2})
study = dict(
    title='CamVid, 10 % of the training images: the distilled U-Net R10, quantised',
    baseline='int8 rounded',
    equal_compute=dict(reference='int4 stagewise', methods=['int4 end to end']),
    options={'schedule.val_interval': 20},
    teachers=[_base_.teacher, _base_.distilled, pruned],
    methods=[
        dict(name='int8 rounded', cfg=configs + 'int8' + _base_.unet.format(20), options=rounded, epochs=1),
        dict(name='int8 stagewise', cfg=configs + 'int8' + _base_.unet.format(20)),
        dict(name='int4 rounded', cfg=configs + 'int4' + _base_.unet.format(20), options=rounded, epochs=1),
        dict(name='int4 stagewise', cfg=configs + 'int4' + _base_.unet.format(20)),
        dict(name='int4 end to end', cfg=configs + 'int4-end-to-end' + _base_.unet.format(60)),
        dict(name='half, int8 rounded', cfg=configs + 'int8-half' + _base_.unet.format(20), options=rounded, epochs=1),
        dict(name='half, int8 stagewise', cfg=configs + 'int8-half' + _base_.unet.format(20)),
    ])
