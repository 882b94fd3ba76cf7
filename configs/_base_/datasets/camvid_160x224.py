# A ninth of the pixels, for machines without a GPU.
_base_ = './camvid.py'
resize = dict(type='Resize', scale=(224, 160), keep_ratio=False)
train_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
tta_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.tta_pipeline]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
