import pytest
import torch
from mmengine.registry import init_default_scope
from torch.nn import functional as F

from skd_mm.distillers import build_network
from skd_mm.features import FeatureExtractor

CONFIG = 'mmseg::mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py'
SMALL = {'model.backbone.init_cfg': None, 'model.backbone.depths': [1, 1, 1, 1], 'model.backbone.embed_dims': 12,
         'model.backbone.num_heads': [1, 1, 1, 1], 'model.decode_head.in_channels': [12, 24, 48, 96],
         'model.decode_head.num_queries': 5}


@pytest.mark.slow
def test_the_map_is_what_the_head_predicts_with():
    pytest.importorskip('mmdet')
    init_default_scope('mmseg')
    options = {**SMALL, 'model.decode_head.type': 'skd_mm.MaskMapHead'}
    model = build_network(dict(cfg=CONFIG, options=options), 'teacher').eval()
    plain = build_network(dict(cfg=CONFIG, options=SMALL), 'teacher').eval()
    plain.load_state_dict(model.state_dict())  # the same weights
    images = torch.randn(2, 3, 64, 64)
    network = FeatureExtractor(model, 'teacher')
    found = network.run(lambda: model(images, mode='tensor'), ['decode_head.class_map'], stop=True)[1]
    logits = found['decode_head.class_map']
    meta = dict(img_shape=(64, 64), pad_shape=(64, 64), ori_shape=(64, 64))
    with torch.no_grad():
        features = plain.extract_feat(images)
        scores = plain.decode_head.predict(features, [meta] * 2, {})
        classes, masks = plain.decode_head(features, [type('Sample', (), dict(metainfo=meta))] * 2)
    assert logits.shape == (2, 19, 16, 16)
    expected = torch.einsum('bqc,bqhw->bchw', classes[-1].softmax(-1)[..., :-1], masks[-1].sigmoid())
    torch.testing.assert_close(logits.exp(), expected)
    whole = F.interpolate(logits.exp(), (64, 64), mode='bilinear', align_corners=False)
    assert (whole.argmax(1) == scores.argmax(1)).float().mean() > 0.95  # they resize before the sigmoid
