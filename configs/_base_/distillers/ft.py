# FT at the last stage, after 30 epochs that train the paraphraser alone; k = .5, β = 200, γ = 1.
_base_ = './kd.py'
pool = dict(type='PoolToSmaller')
distiller = dict(
    spots=[
        dict(
            name='factor', backbone_stage=-1, loss=dict(type='FTLoss'), connector=[dict(type='Translator'), pool],
            teacher_connector=[dict(type='Paraphraser'), pool], teacher_decoder=dict(type='ParaphraserDecoder'),
            weight=200),
        _base_.logits
    ],
    gamma=1)
prepare = dict(
    spots=['factor.teacher'], epochs=30, optim_wrapper=dict(optimizer=dict(lr=0.01)), param_scheduler=[])
