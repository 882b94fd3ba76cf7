# CRD at the pooled features: 128-d embeddings, 16384 negatives; β = .8, γ = 1.
_base_ = './kd.py'
embed = dict(type='Embed', normalize=True)
distiller = dict(
    spots=[
        dict(
            name='contrast', student='neck[-1]', loss=dict(type='CRDLoss'), connector=embed, teacher_connector=embed,
            memory=dict(type='ContrastMemory', num_samples=50000), weight=0.8),
        _base_.logits
    ],
    gamma=1)
