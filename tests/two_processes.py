"""Two processes that talk to each other by gloo."""

import multiprocessing


def run_two_processes(function, folder):
    """Run a function in two processes, and return what they put into the queue, in the order of the ranks.

    It takes a rank, the address of their store, and the queue, into which it puts one tuple that begins with its rank.
    """
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    processes = [context.Process(target=function, args=(rank, f'file://{folder}/store', queue)) for rank in range(2)]
    for process in processes:
        process.start()
    found = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    return found
