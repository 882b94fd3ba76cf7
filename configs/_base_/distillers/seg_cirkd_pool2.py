# CIRKD for batches of many positions: pooled by 2 within the batch, and with shorter queues, as the authors have it for
# SegFormer.
_base_ = './seg_cirkd.py'
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(_base_.distiller.spots[1], loss=dict(type='CIRKDLoss', pool=2)),
        dict(_base_.distiller.spots[2], memory=dict(type='ClassQueues', pixel_slots=2000)),
    ])
