# 135 rows of a table for training and 43 for testing.
data_preprocessor = dict(num_classes=3, to_rgb=False)
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='skd_mm.SklearnTable', table='wine', split='train', pipeline=[dict(type='PackInputs')]))
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='skd_mm.SklearnTable', table='wine', split='test', pipeline=[dict(type='PackInputs')]))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
