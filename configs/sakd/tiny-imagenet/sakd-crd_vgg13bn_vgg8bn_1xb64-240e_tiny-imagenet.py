_base_ = ['../../_base_/pairs/vgg13bn_vgg8bn_tiny-imagenet.py', '../../_base_/distillers/crd.py']
contrast = _base_.distiller.spots[0]
contrast.memory.num_samples = 100000
model = dict(spots=[contrast, _base_.logits])
