import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from tests.helpers import differing, state


def test_it_is_an_image_classifier_that_also_gives_embeddings():
    init_default_scope('mmpretrain')
    cfg = dict(
        backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
        neck=[dict(type='GlobalAveragePooling'), dict(type='LinearNeck', in_channels=32, out_channels=6)],
        head=dict(type='ArcFaceClsHead', num_classes=5, in_channels=6))
    one, other = (MODELS.build(dict(cfg, type=kind)).eval() for kind in ('skd_mm.EmbeddingClassifier',
                                                                           'ImageClassifier'))
    other.load_state_dict(one.state_dict())
    assert not differing(state(one), state(other))
    images = torch.randn(3, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (4, 0, 2)]
    predicted, plain = (model(images, [sample.clone() for sample in samples], mode='predict') for model in (one, other))
    vectors = one.extract_feat(images)[-1]
    for sample, expected, vector in zip(predicted, plain, vectors, strict=True):
        assert torch.equal(sample.pred_score, expected.pred_score) and torch.equal(sample.embedding, vector)
    assert 'embedding' not in plain[0]
    losses = [model(images, samples, mode='loss')['loss'] for model in (one, other)]
    assert torch.equal(*losses)
    assert len(one(images, mode='predict')) == 3
