"""The command that makes a run of saved checkpoints: replay."""

from pathlib import Path
from typing import Annotated, Any

import typer

from huelapse.cli.app import app, err, out
from huelapse.cli.values import names, numbers, pair, parents
from huelapse.errors import MissingExtraError, OptionError

DATA, WHAT, KEPT, HOW = "Samples", "What is recorded", "What else is kept", "How it runs"


@app.command()
def replay(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHECKPOINTS", help="Files (.safetensors; .pt, .pth, .ckpt, .bin "
                       "that hold tensors alone), checkpoint folders of Transformers, folders of "
                       "such, globs between quotes, addresses for --fetch; @list.txt names a file "
                       "with one a line."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="The run: made, gone on with, or given another "
                     "split."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Gives the model, without arguments; "
                     "file.py:function does too."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Gives the samples: a Dataset, DataLoader, "
                     "pair of tensors, iterable of batches, Hugging Face data set. Or the path of "
                     "an .npz, or of a folder with one of images for each class."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Names in order of index, with commas between; or how many; or @names.txt, "
                     "one a line. By default as the data say."),
    ] = None,
    split: Annotated[str, typer.Option(help="What the snapshots are filed under.")] = "val",
    step: Annotated[
        str,
        typer.Option(help="How a checkpoint's step is told: auto (step=1200, checkpoint-1200; else "
                     "what it holds, such as global_step; else a number in its name), name, "
                     "checkpoint, or module:function, given the path."),
    ] = "auto",
    key: Annotated[
        str | None,
        typer.Option(help="Where the weights stand in a checkpoint, such as ema.state_dict; by "
                     "default where the model's own names are found."),
    ] = None,
    non_finite: Annotated[
        bool, typer.Option("--non-finite", help="Also replay weights that are NaN or infinite.")
    ] = False,
    samples: Annotated[
        str,
        typer.Option(help="all; probe, for the balanced choice of a recorder's probe; or at most so "
                     "many, balanced.", rich_help_panel=DATA),
    ] = "all",
    batch: Annotated[
        int | None,
        typer.Option(help="Samples of one forward; by default the loader's own, or 128.",
                     rich_help_panel=DATA),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Of images: the shorter side is made so long, the middle cut out.",
                     rich_help_panel=DATA),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="With --std, the normalization of images from 0 to 1, as "
                     "0.485,0.456,0.406.", rich_help_panel=DATA),
    ] = None,
    std: Annotated[str | None, typer.Option(help="See --mean.", rich_help_panel=DATA)] = None,
    arrays: Annotated[
        str | None,
        typer.Option(help="Names of inputs and labels in the .npz: images,labels.",
                     rich_help_panel=DATA),
    ] = None,
    label_fn: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="From a batch to (inputs, labels), where it is "
                     "neither a pair nor a dict with labels.", rich_help_panel=DATA),
    ] = None,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Labels are \\[sample, class] of 0 and 1.",
                           rich_help_panel=DATA)
    ] = False,
    ignore_index: Annotated[
        int, typer.Option(help="Label of samples without a class.", rich_help_panel=DATA)
    ] = -100,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="all, or a pattern of layer paths such as 'stage*.relu'; may be given "
                     "several times. By default what follows a nonlinearity, and residual joins.",
                     rich_help_panel=WHAT),
    ] = None,
    response: Annotated[
        str, typer.Option(help="mean, peak, or mean,peak.", rich_help_panel=WHAT)
    ] = "mean",
    tokens: Annotated[
        str, typer.Option(help="Of \\[sample, token, unit]: mean, class or last.",
                          rich_help_panel=WHAT)
    ] = "mean",
    output: Annotated[
        str | None,
        typer.Option(help="What the model returns: logits, log-probability or probability; by "
                     "default told from a forward.", rich_help_panel=WHAT),
    ] = None,
    superclasses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What classes belong to: lines \"parent child\" that name "
                     "every class, for the page and pictures.", rich_help_panel=WHAT),
    ] = None,
    groupings: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Gives groupings of your own: name → (class "
                     "names, rule), as for Recorder.", rich_help_panel=WHAT),
    ] = None,
    keep_responses: Annotated[
        bool | None,
        typer.Option("--keep-responses/--no-keep-responses", help="The samples' own responses; by "
                     "default where they are at most 64 MB a snapshot.", rich_help_panel=KEPT),
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Mean map of each class and unit.", rich_help_panel=KEPT)
    ] = False,
    watch: Annotated[
        int, typer.Option(help="Feature maps of so many samples.", rich_help_panel=KEPT)
    ] = 0,
    first_weights: Annotated[
        bool, typer.Option("--first-weights", help="Weights that work on the input.",
                           rich_help_panel=KEPT)
    ] = False,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="Small pictures of the samples.",
                           rich_help_panel=KEPT)
    ] = False,
    max_bytes: Annotated[
        float | None,
        typer.Option(metavar="GB", min=0, help="The most memory for what is recorded; kept responses, "
                     "then groupings, then layers that have no room are left out, and named.",
                     rich_help_panel=KEPT),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, 1 by default; more than one have one thread each, and a "
                     "GPU each in turns. With --engine ray, by default one on each CPU, or GPU, of "
                     "the cluster.", rich_help_panel=HOW),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="local, or ray: on a Ray cluster, or one that is started here and ends with "
                     "the replay.", rich_help_panel=HOW),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster: auto, host:port, ray://host:port; by default as "
                     "RAY_ADDRESS says, else one is started.", rich_help_panel=HOW),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(min=0, help="Of each Ray worker, such as 1 or 0.25; by default 1 where the "
                     "cluster has some and --device lets them be used.", rich_help_panel=HOW),
    ] = None,
    parts: Annotated[
        int,
        typer.Option(min=1, help="Divide the samples of each checkpoint: for fewer checkpoints than "
                     "workers.", rich_help_panel=HOW),
    ] = 1,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do every N-th task, from I = 0 on, and commit nothing: for "
                     "job arrays. env: as SLURM, torchrun or Kubernetes say.", rich_help_panel=HOW),
    ] = None,
    commit: Annotated[
        bool,
        typer.Option("--commit", help="Commit what shards have left in RUN, or in the bucket of "
                     "--parts-at; needs nothing else.", rich_help_panel=HOW),
    ] = False,
    parts_at: Annotated[
        str | None,
        typer.Option(metavar="S3://BUCKET/KEY", help="Where machines that share no disk put what they "
                     "have done, and --commit finds it: an address for each run.",
                     rich_help_panel=HOW),
    ] = None,
    keep_parts: Annotated[
        bool,
        typer.Option("--keep-parts", help="Of --commit: leave in the bucket what is committed.",
                     rich_help_panel=HOW),
    ] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 …", rich_help_panel=HOW)
    ] = "auto",
    autocast: Annotated[
        str | None, typer.Option(help="bfloat16 or float16.", rich_help_panel=HOW)
    ] = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Layout of pictures and convolutions.",
                           rich_help_panel=HOW)
    ] = False,
    inference_mode: Annotated[
        bool, typer.Option("--inference-mode", help="Rather than no_grad.", rich_help_panel=HOW)
    ] = False,
    memory: Annotated[
        float,
        typer.Option(metavar="GB", min=0, help="Decoded samples kept by all workers together (with "
                     "Ray: of a machine); the rest is decoded again for each checkpoint.",
                     rich_help_panel=HOW),
    ] = 2.0,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="A task of several workers that takes longer is "
                     "given up and tried again.", rich_help_panel=HOW),
    ] = None,
    fetch: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="From an address (s3://…) to a local path.",
                     rich_help_panel=HOW),
    ] = None,
    delete_fetched: Annotated[
        bool,
        typer.Option("--delete-fetched", help="Remove what was fetched when it is done.",
                     rich_help_panel=HOW),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Of a run that is begun.", rich_help_panel=HOW)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:  # fmt: skip
    """Make a run of saved checkpoints: the same numbers that a Recorder would have stored.

      huelapse replay 'ckpts/*.pt' --out runs/mine --model mine.net:build --data mine.data:test

    Each checkpoint becomes a snapshot at its step, at once visible to [bold]huelapse view[/bold].
    Ctrl-C keeps what is done; the same command does the rest. A checkpoint that cannot be replayed is
    named with the reason, and the others go on: then it ends with 1.

    Checkpoints are never run: .safetensors, or pickles by torch.load(weights_only=True) alone. The
    model's and the data's functions are your own code, and are run.

    On a cluster, an array of jobs shares the work without knowing of each other, and one command
    commits it:

      huelapse replay … --shard env        # in every job
      huelapse replay --commit --out runs/mine

    Machines that share no disk say --parts-at s3://bucket/key, in every job and for --commit.
    """
    asked: dict[str, Any] = dict(locals())  # most options are those of `huelapse.replay`, by name
    for own in ("checkpoints", "run", "commit", "keep_parts", "as_json"):
        del asked[own]
    if run is None:
        raise OptionError("no run is named: --out runs/mine")
    from huelapse.replaying import showing

    if commit:
        if checkpoints or model or data or shard:
            raise OptionError(
                "--commit needs nothing but --out, and --parts-at: it commits what shards have left"
            )
        from huelapse.replaying.gathering import commit as commit_run

        ended = showing.run(
            out,
            err,
            lambda w: commit_run(run, parts_at=parts_at, keep_parts=keep_parts, progress=w),
            as_json=as_json,
        )
        raise typer.Exit(ended)
    if keep_parts:
        raise OptionError("--keep-parts is of --commit")
    if not checkpoints or model is None or data is None:
        missing = [
            told
            for told, given in (
                ("checkpoints, such as 'ckpts/*.pt'", checkpoints),
                ("--model package.module:function", model),
                ("--data package.module:function", data),
            )
            if not given
        ]
        raise OptionError(f"missing: {'; '.join(missing)}")
    try:
        from huelapse.replaying.replay import replay as replay_all
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            "a replay runs the model and needs PyTorch: pip install 'huelapse[torch]'"
        ) from error
    asked.update(
        classes=names(classes),
        samples=int(samples) if samples.isdigit() else samples,
        mean=numbers("mean", mean),
        std=numbers("std", std),
        arrays=pair("arrays", arrays),
        superclasses=parents(superclasses),
        layers="all" if layers == ["all"] else layers or None,
        response=response.split(",") if "," in response else response,
        keep_responses="auto" if keep_responses is None else keep_responses,
        max_bytes=None if max_bytes is None else max(1, int(max_bytes * 1e9)),
        memory=int(memory * 2**30),
    )
    ended = showing.run(
        out, err, lambda w: replay_all(checkpoints, run, progress=w, **asked), as_json=as_json
    )
    raise typer.Exit(ended)
