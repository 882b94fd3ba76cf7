"""Whole toy runs of the recipes that mix what a phase learns from."""

from tests.helpers import SPOTS, config, log_lines, network, train


def test_progressive_mixes_features_soft_labels_and_ground_truth_on_more_and_more_images(tmp_path):
    logits = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=4))
    model = dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=[*SPOTS, logits])
    schedule = dict(type='Progressive', phase_epochs=1, logits='logits', fraction=[1 / 3, 2 / 3, 2 / 3, 1])
    runner = train(config(tmp_path, model=model, schedule=schedule))
    lines = [line for line in log_lines(tmp_path) if 'loss' in line]
    assert runner.iter == len(lines) == 1 + 2 + 2 + 3
    learnt = [{key for key in line if key.startswith(('spots.', 'decode.loss'))} for line in lines]
    mixed = {'spots.logits.loss', 'decode.loss_ce'}
    assert learnt == [{f'spots.{SPOTS[0]}.loss'}, *[{f'spots.{SPOTS[1]}.loss'} | mixed] * 2,
                      *[{f'spots.{SPOTS[2]}.loss'} | mixed] * 2, *[mixed] * 3]
    # Whoever sees the ground truth is judged by it.
    measures = [record['metric'] for record in runner.train_loop.checkpoints.best.values()]
    assert measures == ['spot_loss', 'mIoU', 'mIoU', 'mIoU']
