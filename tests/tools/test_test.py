import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from skd_mm.distillers import build_network


def measures(folder):
    return json.loads(next(folder.glob('*/*.json')).read_text())


def predictions(distillation, flip=False):
    """Label images by hand: normalise, run, take the most likely class."""
    found = {}
    for name in 'abc':
        image = cv2.cvtColor(cv2.imread(str(distillation.folder / 'test' / f'{name}.png')), cv2.COLOR_BGR2RGB)
        inputs = ((torch.from_numpy(image).float() - 100) / 50).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = distillation.student.encode_decode(inputs, [dict(img_shape=(32, 64))]).softmax(1)
            if flip:
                flipped = distillation.student.encode_decode(inputs.flip(-1), [dict(img_shape=(32, 64))])
                logits = logits + flipped.softmax(1).flip(-1)
        found[name] = logits[0].argmax(0).numpy()
    return found


def mean_iou(distillation, found):
    both, either = np.zeros(11), np.zeros(11)
    for name, prediction in found.items():
        truth = cv2.imread(str(distillation.folder / 'testannot' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        prediction = np.where(truth == 11, 99, prediction)
        for label in range(11):
            both[label] += ((prediction == label) & (truth == label)).sum()
            either[label] += ((prediction == label) | (truth == label)).sum()
    return round(100 * (both / either).mean(), 2)


def test_the_student_is_tested_without_its_teacher(run_tool, distillation):
    work_dir, out, show = (distillation.folder / name for name in ('work', 'out', 'show'))
    run_tool('test.py', distillation.config, distillation.folder / 'iter_*.pth', '--work-dir', work_dir,
             '--out', out, '--show-dir', show)
    found = predictions(distillation)
    assert len(np.unique(found['a'])) > 1
    for name in 'abc':
        np.testing.assert_array_equal(cv2.imread(str(out / f'{name}.png'), cv2.IMREAD_UNCHANGED), found[name])
    assert measures(work_dir)['mIoU'] == pytest.approx(mean_iou(distillation, found), abs=0.006)
    assert len(list(show.rglob('*.png'))) == 3


def test_another_split_and_the_values_of_each_class(run_tool, distillation):
    cfg = Config.fromfile(distillation.config)
    cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    cfg.test_dataloader = dict(cfg.test_dataloader, dataset=dict(type='skd_mm.CamVidDataset', data_root='nowhere'))
    cfg.dump(distillation.folder / 'val.py')
    work_dir = distillation.folder / 'work'
    run_tool('test.py', distillation.folder / 'val.py', distillation.checkpoint, '--work-dir', work_dir,
             '--split', 'val', '--per-class')
    found = measures(work_dir)
    assert found['mIoU'] == pytest.approx(mean_iou(distillation, predictions(distillation)), abs=0.006)
    values = [value for value in found['IoU_per_class'].values() if value is not None]
    assert len(found['IoU_per_class']) == 11 and np.mean(values) == pytest.approx(found['mIoU'], abs=0.01)


def test_exported_students_and_plain_configs_score_the_same(run_tool, distillation):
    files = distillation.folder / 'exported'
    run_tool('export_student.py', distillation.config, distillation.checkpoint, files)
    run_tool('test.py', distillation.config, distillation.checkpoint, '--work-dir', distillation.folder / 'one')
    run_tool('test.py', files / 'skd_tiny.py', files / 'skd_tiny.pth', '--work-dir', distillation.folder / 'two')
    one, two = (measures(distillation.folder / name) for name in ('one', 'two'))
    assert one['mIoU'] == two['mIoU'] == pytest.approx(mean_iou(distillation, predictions(distillation)), abs=0.006)


def test_tta_and_out_as_one_file(run_tool, distillation):
    out = distillation.folder / 'predictions.pkl'
    run_tool('test.py', distillation.config, distillation.checkpoint, '--work-dir', distillation.folder / 'work',
             '--tta', '--out', out)
    found = predictions(distillation, flip=True)
    results = pickle.loads(out.read_bytes())
    for name, result in zip('abc', results, strict=True):
        np.testing.assert_array_equal(result['pred_sem_seg']['data'][0].numpy(), found[name])
    assert not np.array_equal(found['a'], predictions(distillation)['a'])


def test_cfg_options_replace_the_config(run_tool, distillation):
    run_tool('test.py', distillation.config, distillation.checkpoint, '--work-dir', distillation.folder / 'work',
             '--cfg-options', 'test_evaluator.iou_metrics=mFscore')
    assert 'mFscore' in measures(distillation.folder / 'work')


@pytest.mark.parametrize('args, words', [
    (['--cfg-options', 'model.student.backbone.depth=14'], 'does not fit the student'),
    (['--cfg-options', 'test_dataloader=None'], 'has no `test_dataloader`'),
    (['--cfg-options', 'tta_model=None', '--tta'], 'needs `tta_model`'),
    (['--cfg-options', 'test_evaluator.type=DumpResults', '--out', 'x'], 'ends in .pkl'),
    (['--cfg-options', 'default_hooks.visualization=None', '--show'], 'default_hooks.visualization'),
])
def test_one_clear_error(run_tool, distillation, args, words):
    with pytest.raises(SystemExit, match=f'^test: .*{words}'):
        run_tool('test.py', distillation.config, distillation.checkpoint, '--work-dir', distillation.folder / 'work',
                 *args)


def test_a_missing_checkpoint_is_named_and_nothing_is_written(run_tool, distillation):
    with pytest.raises(SystemExit, match=r"^test: .*did you mean 'iter_3.pth'"):
        run_tool('test.py', distillation.config, distillation.folder / 'iter_33.pth', '--work-dir',
                 distillation.folder / 'work')
    assert not (distillation.folder / 'work').exists()


def test_a_classifier(run_tool, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a', 'b'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 9, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / 'images' / name / f'{name}{i}.png'), pixels)
    config = tmp_path / 'classifier.py'
    config.write_text(f"""
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
             neck=dict(type='GlobalAveragePooling'), head=dict(type='LinearClsHead', num_classes=2, in_channels=64))
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
test_dataloader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                       dataset=dict(type='CustomDataset', data_root={str(tmp_path / 'images')!r}, pipeline=pipeline))
test_evaluator = dict(type='Accuracy', topk=(1,))
test_cfg = dict()
default_hooks = dict(visualization=dict(type='VisualizationHook'))
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
""")
    cfg = Config.fromfile(config)
    network = build_network(dict(cfg=cfg), 'student').eval()
    torch.save(dict(state_dict=network.state_dict()), tmp_path / 'weights.pth')
    run_tool('test.py', config, tmp_path / 'weights.pth', '--work-dir', tmp_path / 'work', '--show-dir',
             tmp_path / 'show')
    # mmpretrain's hook cannot paint what is tested with augmentation.
    run_tool('test.py', config, tmp_path / 'weights.pth', '--work-dir', tmp_path / 'tta', '--tta', '--out',
             tmp_path / 'results.pkl')
    results = pickle.loads((tmp_path / 'results.pkl').read_bytes())
    for result in results:
        pixels = torch.from_numpy(cv2.imread(result['img_path'])).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            scores = [network.head(network.extract_feat(view)).softmax(1)[0] for view in (pixels, pixels.flip(-1))]
        torch.testing.assert_close(result['pred_score'], (scores[0] + scores[1]) / 2)
    assert len(results) == 4 == len(list((tmp_path / 'show').rglob('*.png')))
    assert 'accuracy/top1' in measures(tmp_path / 'work')
