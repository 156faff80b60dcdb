"""``python -m bslib.parallel``: what sharing a step costs on this machine, in two tables."""

import click

from bslib.parallel import WorkerFailed, shared_work, timing

MESSAGE_BYTES = (4, 4_096, 65_536, 524_288, 4_194_304)


@click.command()
@click.option("--task", default="mnist1d", show_default=True, help="Which data.")
@click.option("--world-size", default=2, show_default=True, help="Workers, on this machine.")
@click.option(
    "--local-batch-sizes",
    default="8,16,32,64,128,256,512,1024",
    show_default=True,
    help="Examples a worker and step; eight or more, since half are held out.",
)
@click.option("--rounds", default=12, show_default=True, help="Of timing.")
@click.option("--seed", default=0, show_default=True, help="Of weights and order.")
def main(task: str, world_size: int, local_batch_sizes: str, rounds: int, seed: int) -> None:
    """Time steps of one worker and of several under DistributedDataParallel, by torchrun.

    Prints the efficiency at each local batch size, and the cost model fitted to every other one.
    """
    try:
        sizes = [int(each) for each in local_batch_sizes.split(",")]
        steps, messages = timing.measure(
            task, sizes, MESSAGE_BYTES, world_size=world_size, rounds=rounds, seed=seed
        )
        click.echo(shared_work.table(steps, messages).to_string(index=False))
        click.echo(shared_work.fitted(steps, messages))
    except (ValueError, WorkerFailed) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
