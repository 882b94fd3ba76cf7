"""Compare the time of a routed step with that of plain distillation, and of the passes that it needs."""

import argparse
from dataclasses import asdict


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of a config with `model.router`')
    parser.add_argument('--batch-size', type=int, help="images per step; by default the config's")
    parser.add_argument('--rounds', type=int, default=20, help='number of interleaved rounds')
    parser.add_argument('--device', help='by default cuda if there is a GPU, else cpu')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    return parser.parse_args()


def main() -> None:
    """Run the measurement and print the results."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis import flops
    from skd_mm.analysis.config_model import build_model, config_phases, config_shape
    from skd_mm.analysis.router_cost import router_cost, with_gate
    from skd_mm.config import load_config
    from skd_mm.distillers import Distiller
    from skd_mm.utils import write_json

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    cfg = load_config(args.config, args.cfg_options)
    if not cfg.model.get('router'):
        raise SystemExit(f'router_cost: {args.config} has no `model.router`')
    distillers: list[Distiller] = []
    counted = []
    for gate in ('policy', 'always'):
        model = build_model(with_gate(cfg, gate)).to(device)
        shape = config_shape(cfg, model)
        phase = config_phases(cfg, model)[-1]
        counted.append(flops.schedule_cost(model, [phase], shape)[0].truncated)
        model.activate(phase.train, phase.spots, phase.task, phase.frozen_bn)
        distillers.append(model)
    routed, plain = distillers
    assert routed.teacher is not None
    macs = [flops.network_cost(network, shape).macs for network in (routed.teacher, routed.student)]
    needed = 2 * (3 * macs[0] + 5 * macs[1])
    batch_size = args.batch_size or cfg.train_dataloader.batch_size
    cost = router_cost(routed, plain, shape, batch_size, args.rounds)
    numbers = dict(config=args.config, batch_size=batch_size, shape=list(shape), milliseconds=asdict(cost),
                   ratio_plain=cost.routed / cost.plain, ratio_units=cost.routed / cost.units,
                   ratio_passes=cost.routed / cost.passes, gflop_routed=counted[0] / 1e9, gflop_plain=counted[1] / 1e9,
                   gflop_units=needed / 1e9, ratio_flop_units=counted[0] / needed)
    print(f'{args.config}: {batch_size} images of {shape}, medians of {args.rounds} rounds on {device}')
    print(f'  forward pass of the teacher {cost.teacher:.1f} ms, of the student {cost.student:.1f} ms')
    print(f'  plain distillation     {cost.plain:.1f} ms per step')
    print(f'  routed                 {cost.routed:.1f} ms per step: {numbers["ratio_plain"]:.2f} x plain distillation, '
          f'{numbers["ratio_units"]:.2f} x (3 teacher + 5 student forward passes = {cost.units:.1f} ms), '
          f'{numbers["ratio_passes"]:.2f} x the bare passes ({cost.passes:.1f} ms)')
    print(f'  counted                {numbers["gflop_routed"]:.3f} GFLOP per image, '
          f'plain {numbers["gflop_plain"]:.3f}: {numbers["ratio_flop_units"]:.2f} x (3 teacher + 5 student forward '
          f'passes = {numbers["gflop_units"]:.3f})')
    if args.json:
        write_json(args.json, numbers)


if __name__ == '__main__':
    main()
