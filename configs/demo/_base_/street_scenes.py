# The street scenes that tools/demo.py generates: CamVid's layout and classes, without resizing.
_base_ = '../../_base_/datasets/camvid.py'
data_root = 'work_dirs/demo/street_scenes'
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Resize']
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'Resize']
tta_pipeline = [step for step in _base_.tta_pipeline if step['type'] != 'Resize']

# Reading images this small is faster than passing them between processes.
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = dict(loader, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(loader, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(loader, dataset=dict(data_root=data_root, pipeline=test_pipeline))
