_base_ = ['../../_base_/pairs/vgg13bn_vgg8bn_tiny-imagenet.py', '../../_base_/distillers/at.py']
model = dict(spots={{_base_.distiller.spots}})
