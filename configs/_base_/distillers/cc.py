# CC at the pooled features, through 128-d embeddings; β = .02, γ = 1.
_base_ = './kd.py'
embed = dict(type='Embed')
distiller = dict(
    spots=[
        dict(
            name='correlation', student='neck[-1]', loss=dict(type='CCLoss'), connector=embed, teacher_connector=embed,
            weight=0.02),
        _base_.logits
    ],
    gamma=1)
