# Synthetic images of the numbers 0 to 99 (docs/lwkd.md): 500 per class for training, 100 for testing, no augmentation.
# The images are in memory already; a worker would only copy them.
data_preprocessor = dict(mean=[60.], std=[75.], to_rgb=False)
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='skd_mm.SyntheticDigits', num_classes=100, split='train', pipeline=[dict(type='PackInputs')]))
val_dataloader = dict(
    batch_size=500,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='skd_mm.SyntheticDigits', num_classes=100, split='test', pipeline=[dict(type='PackInputs')]))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
