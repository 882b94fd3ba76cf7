import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample

from skd_mm.distillers.inputs import InputSize, TeacherInput, input_size

CAFFE = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
CAMVID = dict(mean=[105., 108., 110.], std=[70., 72., 72.])
CIFAR = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255])


def seg(norm, bgr_to_rgb=True, pad_val=0, size=(12, 16), **kwargs):
    return SegDataPreProcessor(**norm, bgr_to_rgb=bgr_to_rgb, pad_val=pad_val, seg_pad_val=255, size=size, **kwargs)


def images(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8) for shape in shapes]


def seg_data(inputs):
    samples = []
    for image in inputs:
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, *image.shape[1:], dtype=torch.long)))
        sample.set_metainfo(dict(img_shape=image.shape[1:]))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def both(student, teacher, data, training=True):
    """The teacher's view through the student's, and what the teacher's own preprocessor makes of the raw images."""
    view = student(data(), training)
    return TeacherInput(student, teacher)(view['inputs'], view['data_samples']), teacher(data(), training)['inputs']


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(('student', 'teacher'), [
    (seg(CAFFE), seg(CAMVID)),
    (seg(CAFFE), seg(CAMVID, bgr_to_rgb=False)),
    (seg(CAFFE, bgr_to_rgb=False), seg(CAFFE)),
    (seg(CAFFE, bgr_to_rgb=False), seg(dict(mean=[1., 2., 3.], std=[4., 5., 6.]))),
    (seg(CAFFE), SegDataPreProcessor(size=(12, 16))),  # a teacher that wants raw pixels
    (SegDataPreProcessor(size=(12, 16)), seg(CAFFE))])
def test_is_what_the_teachers_own_preprocessor_gives(student, teacher, training):
    got, expected = both(student, teacher, lambda: seg_data(images((12, 16), (12, 16))), training)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(('student', 'teacher'), [
    (seg(CAFFE), seg(CAMVID)), (seg(CAFFE), seg(CAMVID, bgr_to_rgb=False)), (seg(CAFFE), seg(CAMVID, pad_val=7)),
    (seg(CAFFE, pad_val=7), seg(CAMVID)),
    (seg(CAFFE), seg(CAFFE, pad_val=7))])
def test_padding_too(student, teacher):
    got, expected = both(student, teacher, lambda: seg_data(images((9, 16), (12, 11), (12, 16))))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)


def test_padding_in_validation():
    student, teacher = (seg(norm, test_cfg=dict(size_divisor=8)) for norm in (CAFFE, CAMVID))
    got, expected = both(student, teacher, lambda: seg_data(images((9, 11), (9, 11))), training=False)
    assert got.shape[-2:] == (16, 16)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)


def test_the_same_preprocessing_hands_on_the_very_same_tensor():
    student, teacher = seg(CAFFE), seg(CAFFE)
    inputs = torch.randn(2, 3, 12, 16)
    assert TeacherInput(student, teacher)(inputs) is inputs


def test_the_students_batch_is_not_changed():
    student, teacher = seg(CAFFE), seg(CAMVID, bgr_to_rgb=False, pad_val=3)
    view = student(seg_data(images((9, 16), (12, 11))), True)
    before = view['inputs'].clone()
    TeacherInput(student, teacher)(view['inputs'], view['data_samples'])
    assert torch.equal(view['inputs'], before)


def cls(norm, to_rgb=True, **kwargs):
    return ClsDataPreprocessor(**norm, to_rgb=to_rgb, num_classes=3, **kwargs)


def cls_data(inputs):
    samples = [DataSample(metainfo=dict(img_shape=tuple(image.shape[-2:]))).set_gt_label(0) for image in inputs]
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('stacked', [True, False])
@pytest.mark.parametrize(('student', 'teacher'), [
    (cls(CIFAR), cls(CAFFE)), (cls(CIFAR), cls(CAFFE, to_rgb=False)), (cls(CIFAR, to_rgb=False), cls(CIFAR)),
    (cls(CIFAR), cls({})),
    (cls({}), cls(CIFAR)), (cls(CIFAR), seg(CAFFE))])
def test_mmpretrains_preprocessors(student, teacher, stacked):
    raw = images((12, 16), (12, 16))
    view = student(cls_data(torch.stack(raw) if stacked else raw))
    got = TeacherInput(student, teacher)(view['inputs'], view['data_samples'])
    if isinstance(teacher, SegDataPreProcessor):
        expected = teacher(seg_data(raw), True)['inputs']
    else:
        expected = teacher(cls_data(raw))['inputs']
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)


def test_mmpretrains_padding():
    student, teacher = (cls(norm, pad_size_divisor=8) for norm in (CIFAR, CAFFE))
    view = student(cls_data(images((9, 16), (12, 11))))
    got = TeacherInput(student, teacher)(view['inputs'], view['data_samples'])
    torch.testing.assert_close(got, teacher(cls_data(images((9, 16), (12, 11))))['inputs'], rtol=1e-5, atol=1e-4)


def test_batch_augmentation_is_done_once():
    torch.manual_seed(0)
    mixed = cls(CIFAR, batch_augments=dict(augments=dict(type='mmpretrain.Mixup', alpha=1.)))
    plain = cls(CIFAR)
    view = mixed(cls_data(torch.stack(images((12, 16), (12, 16)))), training=True)
    # The teacher sees the mixed images, in its own normalisation.
    assert TeacherInput(mixed, plain)(view['inputs'], view['data_samples']) is view['inputs']
    other = TeacherInput(mixed, cls(CAFFE))(view['inputs'], view['data_samples'])
    raw = view['inputs'] * plain.std + plain.mean
    torch.testing.assert_close(other, (raw - cls(CAFFE).mean) / cls(CAFFE).std, rtol=1e-4, atol=1e-4)


def test_grey_images():
    student, teacher = (SegDataPreProcessor(mean=[mean], std=[std], size=(12, 16))
                        for mean, std in ((100., 50.), (90., 20.)))
    got, expected = both(student, teacher, lambda: seg_data([image[:1] for image in images((12, 16))]))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)


def test_half_precision_stays_half():
    inputs = torch.randn(2, 3, 12, 16, dtype=torch.bfloat16)
    assert TeacherInput(seg(CAFFE), seg(CAMVID))(inputs).dtype == torch.bfloat16


def test_its_numbers_move_with_the_model_and_are_in_no_checkpoint():
    convert = TeacherInput(seg(CAFFE), seg(CAMVID))
    assert not convert.same and not convert.state_dict()
    convert.to('meta')
    assert convert.scale.device.type == convert.shift.device.type == 'meta'
    assert convert(torch.ones(1, 3, 2, 2, device='meta')).device.type == 'meta'


def vit(patch):
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, patch, stride=patch), torch.nn.Conv2d(8, 8, 3))


@pytest.mark.parametrize(('model', 'cfg', 'image', 'expected'), [
    (vit(14), None, (512, 1024), (518, 1022)), (vit(16), None, (64, 72), (64, 80)), (vit(14), None, (5, 20), (14, 14)),
    (vit(4), None, (62, 62), (62, 62)), (torch.nn.Conv2d(3, 8, 7, 2), None, (33, 33), (33, 33)),
    (torch.nn.Linear(3, 3), None, (33, 33), (33, 33)),
    (vit(16), 224, (512, 1024), (224, 224)), (vit(16), [64, 128], (512, 512), (64, 128)),
    (vit(4), dict(multiple_of=32), (70, 90), (64, 96))])
def test_the_input_size_is_the_networks_or_the_configs(model, cfg, image, expected):
    assert input_size(model, cfg)(image) == expected


@pytest.mark.parametrize('cfg', [0, -1, True, 'big', [1], [1, 0], dict(multiple_of=0), dict(multiple=14), dict()])
def test_wrong_input_sizes(cfg):
    with pytest.raises(ValueError, match=r'model\.teacher\.input_size'):
        input_size(vit(14), cfg)


def test_images_are_resized_for_the_teacher_after_all_else():
    convert, plain = (TeacherInput(seg(CAFFE), seg(CAMVID), size) for size in (InputSize(multiple=14), None))
    images = torch.randn(2, 3, 32, 64)
    expected = torch.nn.functional.interpolate(plain(images), (28, 70), mode='bilinear', antialias=True)
    torch.testing.assert_close(convert(images), expected)
    assert convert(images[..., :28, :28]).shape == (2, 3, 28, 28)
    vectors = torch.randn(2, 5)
    assert TeacherInput(None, None, InputSize(fixed=(4, 4)))(vectors) is vectors
