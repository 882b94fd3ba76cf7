# DeepLabV3-R101 teaches DeepLabV3-MobileNetV2 in CIRKD's protocol.
_base_ = './deeplabv3-r101_deeplabv3-r18_4xb4-40k_cityscapes.py'
model = dict(
    student=dict(
        _delete_=True, cfg='mmseg::mobilenet_v2/mobilenet-v2-d8_deeplabv3_4xb2-80k_cityscapes-512x1024.py'))
